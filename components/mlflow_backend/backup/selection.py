"""The choice of the backup that a restore or a drill takes. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.backup.retention import BackupState
from mlflow_backend.contract import Refused, UsageError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow_backend.backup.retention import ListedBackup

_SHOWN = 5


def to_restore(backups: Sequence[ListedBackup], wanted: str | None = None) -> ListedBackup:
    """Return the backup with the id `wanted`, else the newest that a drill proved.

    A named one is taken whatever is known of it, because a damaged backup may be all that is left. Raises Refused if
    there is none or none was proved, and UsageError if the one that is wanted is not there.
    """
    ordered = _newest_first(backups)
    if wanted is not None:
        found = next((backup for backup in ordered if backup.id == wanted), None)
        if found is None:
            known = ", ".join(backup.id for backup in ordered[:_SHOWN])
            raise UsageError(
                f"there is no backup {wanted}",
                code="backup-unknown",
                fix=f"Name one of these, the newest first: {known}",
            )
        return found
    proved = next((backup for backup in ordered if backup.state is BackupState.PROVED), None)
    if proved is None:
        raise Refused(
            f"no backup was proved by a drill; the newest is {ordered[0].id} ({ordered[0].state})",
            code="backup-none-proved",
            fix="Drill it first, or name the one to restore",
        )
    return proved


def to_drill(backups: Sequence[ListedBackup]) -> ListedBackup:
    """Return the newest backup, proved or not: a backup can rot. Raises Refused if there is none."""
    return _newest_first(backups)[0]


def _newest_first(backups: Sequence[ListedBackup]) -> list[ListedBackup]:
    if not backups:
        raise Refused(
            "the destination holds no whole backup of this stack",
            code="backup-none",
            fix="Take one, or name the stack as it was called when it was backed up",
        )
    return sorted(backups, key=lambda backup: (backup.taken_at, backup.id), reverse=True)
