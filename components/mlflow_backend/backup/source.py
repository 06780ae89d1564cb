"""What backups ask of a deployed backend besides its releases: its artifacts, its secrets and its own key."""

from __future__ import annotations

import shutil
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from mlflow_backend.releases.stores import DUMPS, STAGING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mlflow_backend.backup.artifacts import StoredFile
    from mlflow_backend.backup.destination import FolderDestination
    from mlflow_backend.deployed import DeployedBackend
    from mlflow_backend.migrate.tool import DatabaseTool


class Artifacts(Protocol):
    """The artifact store of a backend; paths are below the artifact root. Each method raises PlatformFailed."""

    def listing(self) -> Iterable[StoredFile]:
        """Return every file but the backend's own."""

    def reading(self, path: str) -> Iterator[bytes]:
        """Yield a file's content. Raises FileNotFoundError if it was deleted since it was listed."""

    def create(self, path: str, pieces: Iterator[bytes]) -> None:
        """Write a file that is not there yet."""


class Vault(Protocol):
    """The secrets of a backend that a restore elsewhere needs, by name. Each method raises PlatformFailed."""

    def private_key(self) -> str:
        """Return the backend's own key of backups, which is made when it is first asked for."""

    def read(self) -> Mapping[str, str]:
        """Return the secrets."""

    def take_over(self, secrets: Mapping[str, str], *, label: str) -> None:
        """Put another backend's secrets in force, and keep the present ones aside under `label`."""

    def put_back(self, label: str) -> None:
        """Put the secrets in force that were kept aside under `label`; nothing happens if there are none."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """A deployed backend that is backed up or restored to.

    `tool` returns the database tool of an MLflow version. `own` is the folder of the backend's own store, into which
    dumps are opened. `settings` is the content of the stack's file.
    """

    deployed: DeployedBackend
    tool: Callable[[str], DatabaseTool]
    artifacts: Artifacts
    vault: Vault
    own: FolderDestination
    stack: str
    settings: bytes = field(default=b"", repr=False)

    @property
    def staging(self) -> str:
        """The address below which the database tool writes and finds a backup's dumps."""
        return f"{self.deployed.platform.dumps.removesuffix(DUMPS)}{STAGING}"

    def clear_staging(self) -> None:
        """Delete every dump in plain that a backup or a restore left. Only for whoever holds the lock of backups."""
        shutil.rmtree(self.own.path(STAGING), ignore_errors=True)
        self.own.clear_unfinished()
