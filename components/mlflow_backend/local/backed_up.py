"""Backups of a local stack (target.Backups): taken and restored in the command's own process."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.contract import Refused
from mlflow_backend.releases.stores import FileStore

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mlflow_backend.backup.destination import Destination
    from mlflow_backend.backup.source import DeployedSource
    from mlflow_backend.local.state import StateDir

# Each method imports what it needs: a second of MLflow's tables and of boto3 that a list must not wait for.
# ruff: noqa: PLC0415

_BACKED_UP_TO: Final = "backup/destination"


class LocalBackups:
    """See target.Backups."""

    as_deployed = False

    def __init__(self, state: StateDir, file: Path) -> None:
        """Take the stack's folder and its file, whose content becomes part of a backup."""
        self._state, self._file = state, file
        self.store = FileStore(state.backend_store)

    def take(
        self, destination: Destination, *, recovery_key: str, dry_run: bool, say: Callable[[str], None]
    ) -> Mapping[str, Any]:
        """Take a backup."""
        from mlflow_backend.backup import create
        from mlflow_backend.backup.destination import FolderDestination

        if isinstance(destination, FolderDestination) and not dry_run:
            say(f"{destination.name}: nothing on a folder keeps others from changing or deleting backups")
            refuse_emptied(self.store, destination)
        report = create.reported(self.source(), destination, recovery_key=recovery_key, dry_run=dry_run, say=say)
        if not dry_run:
            remember(self.store, destination)
        return report

    def schedules(self) -> Mapping[str, str]:
        """Return what the timer says."""
        from mlflow_backend.local import timer

        return timer.described(self._state)

    def source(self) -> DeployedSource:
        """Return the stack as backups see it."""
        from mlflow_backend.local.backups import source_of

        return source_of(self._state, settings=self._file.read_bytes())


def remember(store: FileStore, destination: Destination) -> None:
    """Keep in the stack's own store that a whole backup was written to the destination."""
    store.replace(_BACKED_UP_TO, destination.name.encode())


def refuse_emptied(store: FileStore, destination: Destination) -> None:
    """Raise Refused if the destination held a backup of this stack and holds none now.

    A disk that is not mounted leaves an empty folder: backups would fill the disk that they are to outlive.
    """
    from mlflow_backend.backup import catalogue

    known = store.read([_BACKED_UP_TO]).get(_BACKED_UP_TO)
    if known == destination.name.encode() and not catalogue.read(destination).backups:
        raise Refused(
            "it held backups of this stack, and holds none now",
            code="backup-destination-emptied",
            fix="Mount its disk; if they were deleted on purpose, set backup.destination to a new folder",
            part=destination.name,
        )
