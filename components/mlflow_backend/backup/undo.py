"""The undoing of a restore, also of one that was interrupted: databases, secrets and identity as they were before it.

It may be repeated after an interruption itself, by the journal that restores keep.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_backend.backup import restore
from mlflow_backend.backup.create import LOCK
from mlflow_backend.contract import Refused
from mlflow_backend.releases.journal import restore_journal

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mlflow_backend.backup.source import DeployedSource


@dataclass(frozen=True, kw_only=True)
class UndoPlan:
    """What is put back of the restore of a backup: always the identity, databases and secrets if it replaced them.

    `recorded` says whether the ledger knows of that restore.
    """

    backup: str
    identity: Mapping[str, str]
    databases: bool
    secrets: bool
    recorded: bool

    def lines(self) -> Iterator[str]:
        """Say it for people."""
        yield f"the restore of backup {self.backup}"
        yield f"identity: {', '.join(f'{part} {name}' for part, name in sorted(self.identity.items())) or 'none'}"
        yield f"databases: {'those that it replaced' if self.databases else 'the present ones'}"
        yield f"keys: {'those that it replaced' if self.secrets else 'the present ones'}"


def plan(source: DeployedSource) -> UndoPlan:
    """Return what undoing the last restore would put back. Raises Refused if there was none."""
    contents = source.deployed.ledger.read()
    if (entry := restore.interrupted(source)) is not None:
        switched = entry["kept"] != restore.replaced(source)
        return UndoPlan(
            backup=entry["backup"],
            identity=entry["before"],
            databases=entry["databases"] and not switched if entry["undoing"] else switched,
            secrets=entry["elsewhere"],
            recorded=contents.last_restore is not None and contents.last != entry["ledger"],
        )
    if contents.last_restore is None:
        raise Refused("The ledger knows of no restore.", code="restore-none", fix="There is nothing to undo.")
    backup, before = contents.last_restore
    # Secrets that were kept aside may be of an earlier restore of the same backup, if this one replaced none.
    secrets = before != (contents.state.identity or {})
    return UndoPlan(backup=backup, identity=before, databases=True, secrets=secrets, recorded=True)


def undo(source: DeployedSource, *, say: Callable[[str], None]) -> str:
    """Put back what the last restore replaced, or one that was interrupted. Return the backup's id.

    Raises Refused if there was none, PlatformFailed if the databases cannot be put back.
    """
    deployed, journal = source.deployed, restore_journal(source.deployed.store)
    with deployed.store.locked(LOCK, by=restore.BY), deployed.rollback_lock(), deployed.migration_lock():
        plan(source)
        revision = restore.served_by(source).revision
        say("ending the server")
        deployed.platform.stop_servers()
        try:
            # Once more: what a killed restore had started, and might have switched still, has ended with the servers.
            planned = plan(source)
            journal.write(
                {
                    "backup": planned.backup,
                    "before": dict(planned.identity),
                    "elsewhere": planned.secrets,
                    "databases": planned.databases,
                    "kept": restore.replaced(source),
                    # Another number than the newest record's: what was recorded before is still to be undone.
                    "ledger": None if planned.recorded else deployed.ledger.read().last,
                    "undoing": True,
                }
            )
            if planned.databases:
                deployed.undo_restore()
            if planned.secrets:
                source.vault.put_back(planned.backup)
            restore.write_identity(source, planned.identity)
            if planned.recorded:
                deployed.ledger.add_undone_restore(planned.backup, identity=planned.identity)
            journal.close()
        finally:
            deployed.serve(source.renewed(revision))
    return planned.backup
