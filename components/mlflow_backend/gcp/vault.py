"""A backend's secrets in Secret Manager as a restore replaces and puts them back (backup.source.Vault).

A version of a secret never changes and stays, so that what was in force is kept by the numbers of its versions alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_backend.backup.hosted import HostedVault
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.releases.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.gcp.naming import Naming
    from mlflow_backend.gcp.secrets import Secrets, Value
    from mlflow_backend.releases.stores import Store

_VERSIONS = "versions"


@dataclass(frozen=True, kw_only=True)
class SecretManagerVault(HostedVault):
    """The secrets of a backend, each one of its own; `store` has the numbers of those that a restore replaced."""

    secrets: Secrets
    naming: Naming
    names: tuple[str, ...]
    store: Store

    @property
    def versions(self) -> Mapping[str, str]:
        """The number of each secret's newest version, by the secret's name in the project."""
        return {self.naming.secret(name): value.version for name, value in self._newest().items()}

    def present(self) -> Mapping[str, str]:
        """Return the newest values."""
        return {name: value.text for name, value in self._newest().items()}

    def replace(self, taken: Mapping[str, str], *, label: str) -> None:
        """Add a version to each secret that is another one; if one cannot be added, put all back."""
        kept = self._kept(label)
        if kept.load(_VERSIONS) is None:
            kept.write({_VERSIONS: {name: value.version for name, value in self._newest().items()}})
        try:
            self._put(taken)
        except PlatformFailed:
            self.put_back(label)
            raise

    def put_back(self, label: str) -> None:
        """Add a version with what was kept to each secret that is another one."""
        kept = self._kept(label)
        if (found := kept.load(_VERSIONS)) is not None:
            self._put({name: self._value(name, version).text for name, version in found[_VERSIONS].items()})
            kept.close()

    def _put(self, wanted: Mapping[str, str]) -> None:
        present = self.present()
        for name, text in wanted.items():
            if present[name] != text:
                self.secrets.add(self.naming.secret(name), text)

    def _newest(self) -> dict[str, Value]:
        return {name: self._value(name, "latest") for name in self.names}

    def _value(self, name: str, version: str) -> Value:
        secret = self.naming.secret(name)
        found = self.secrets.read(secret, version)
        if found is None:
            raise PlatformFailed(
                f"it has no version {version}", code="gcp-secret-version-gone", fix="Run `make up`", part=secret
            )
        return found

    def _kept(self, label: str) -> Journal:
        return Journal(self.store, f"secrets-before-{label}")
