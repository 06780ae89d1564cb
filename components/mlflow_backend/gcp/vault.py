"""A backend's secrets in Secret Manager as a restore replaces and puts them back (backup.source.Vault).

A version of a secret never changes and stays, so that what was in force is kept by the numbers of its versions alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_backend.backup import bundle
from mlflow_backend.backup.hosted import HostedVault
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.gcp.render.secrets import API_KEYS
from mlflow_backend.releases.journal import Journal

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mlflow_backend.gcp.naming import Naming
    from mlflow_backend.gcp.secrets import Secrets, Value
    from mlflow_backend.releases.stores import Store

_VERSIONS = "versions"


@dataclass(frozen=True, kw_only=True)
class SecretManagerVault(HostedVault):
    """The secrets of a backend, each one of its own; `store` has the numbers of those that a restore replaced.

    `api_keys` says that access is by them: servers read the newest version of their hashes themselves.
    """

    secrets: Secrets
    naming: Naming
    names: tuple[str, ...]
    store: Store
    api_keys: bool = False

    @property
    def versions(self) -> Mapping[str, str]:
        """The number of each secret's newest version, by the secret's name in the project."""
        return {self.naming.secret(name): value.version for name, value in self._newest(self.names).items()}

    def present(self) -> Mapping[str, str]:
        """Return the newest values."""
        return {name: value.text for name, value in self._newest(self.names).items()}

    def take_over(self, secrets: Mapping[str, str], *, label: str) -> None:
        """Put a backup's secrets in force, users' API keys among them; the verifier's own key stays."""
        taken = bundle.each_alone(secrets, self.names)
        if self.api_keys and bundle.API_KEYS in secrets:
            present = self._value(API_KEYS, "latest").text
            taken[API_KEYS] = bundle.users_api_keys(secrets, beside=present)
        self.replace(taken, label=label)

    def replace(self, taken: Mapping[str, str], *, label: str) -> None:
        """Add a version to each secret that is another one; if one cannot be added, put all back."""
        kept = self._kept(label)
        if kept.load(_VERSIONS) is None:
            kept.write({_VERSIONS: {name: value.version for name, value in self._newest(taken).items()}})
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
        present = self._newest(wanted)
        for name, text in wanted.items():
            if present[name].text != text:
                self.secrets.add(self.naming.secret(name), text)

    def _newest(self, names: Iterable[str]) -> dict[str, Value]:
        return {name: self._value(name, "latest") for name in names}

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
