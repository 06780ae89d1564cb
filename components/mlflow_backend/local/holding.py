"""What an update of a local stack serves: what the settings describe, or what the ledger holds it to.

Read by the program at every update, so it imports nothing that starts slowly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.local import revisions
from mlflow_backend.local.locator import LocalLocator
from mlflow_backend.releases.holds import hold_of, refuse_disagreement
from mlflow_backend.releases.journal import refuse_unfinished, rollback_journal
from mlflow_backend.releases.ledger import Ledger
from mlflow_backend.releases.stores import FileStore

if TYPE_CHECKING:
    from mlflow_backend.local.desired import DesiredServer
    from mlflow_backend.local.state import StateDir
    from mlflow_backend.releases.records import LedgerState


@dataclass(frozen=True, kw_only=True)
class Served:
    """What is served: a server that the settings describe, or the revision that the ledger holds the stack to.

    `access` is its access mode: a revision may have another than the settings. `withheld` says why the settings' own
    release is not served, and `manual` whether a person pinned the revision.
    """

    desired: DesiredServer | None
    revision: str = ""
    mlflow_version: str
    environment_lock: str
    access: str = "none"
    withheld: str = ""
    manual: bool = False


def ledger_state(state: StateDir, *, requested: str | None) -> LedgerState:
    """Return what the ledger holds the stack to.

    Raises Refused if the settings ask for another pin, if a rollback was interrupted, and if it cannot be
    read; PlatformFailed if its folder cannot be.
    """
    refuse_unfinished(rollback_journal(FileStore(state.backend_store)))
    found = Ledger(FileStore(state.backend_store), by="").state()
    refuse_disagreement(found, requested)
    return found


def served(state: StateDir, found: LedgerState, desired: DesiredServer) -> Served:
    """Return what is served if the settings describe `desired`. Raises Refused if a held revision is gone."""
    identity = desired.identity
    hold = hold_of(found, settings_hash=identity)
    if hold is None:
        return Served(
            desired=desired,
            mlflow_version=desired.mlflow_version,
            environment_lock=desired.environment_lock,
            access=desired.access,
        )
    try:
        record = revisions.load(state, int(hold.revision))
    except (PlatformFailed, ValueError):
        raise Refused(
            f"The ledger holds this stack to revision {hold.revision}, which does not exist any more: {hold.why}.",
            code="local-pinned-revision-gone",
            fix="Lift it with `python -m scripts.rollback --stack STACK --unpin`.",
        ) from None
    return Served(
        desired=None,
        revision=hold.revision,
        mlflow_version=record.mlflow_version,
        environment_lock=record.environment_lock,
        access=record.access,
        withheld="" if record.identity == identity else hold.why,
        manual=hold.manual,
    )


def announcement(state: StateDir, version: str) -> str | None:
    """Return what a migration for this version will do, as a preview shows it; None if none is to be expected.

    Asked only if another version than the serving one is to be served: an update without changes does not pay.
    """
    serving = revisions.active(state)
    if serving is None or serving.mlflow_version == version:
        return None
    from mlflow_backend.migrate.resource import check  # noqa: PLC0415 - only before a migration

    found = check({"locator": LocalLocator.of(state).document(), "mlflowVersion": version}).inputs
    plan = found.get("plan", {})
    if "pending" not in plan:
        return None
    listed = "\n".join(f"  {revision}" for revision in plan["pending"])
    return (
        f"A schema migration is pending: the database is {plan['schema']}.\n{listed}\n"
        f"Downtime: {plan['downtime']}.\nRollback: {plan['rollback']}."
    )


def held_revision(state: StateDir, serving: str | None) -> str | None:
    """Return the revision that serves because the ledger holds the stack to it, None if another does."""
    found = Ledger(FileStore(state.backend_store), by="").state()
    held = {block.instead for block in found.blocks}
    if found.pin is not None:
        held = {found.pin.revision}
    return serving if serving in held else None


def refuse_overtaken(state: StateDir, revision: str) -> None:
    """Raise if a rollback began, or pinned another revision than this, after the update had read the ledger.

    Refused for one that is under way or was interrupted, PlatformFailed for a pin.
    """
    refuse_unfinished(rollback_journal(FileStore(state.backend_store)))
    pin = Ledger(FileStore(state.backend_store), by="").state().pin
    if pin is not None and revision != pin.revision:
        finding = f"a rollback pinned revision {pin.revision} while this update was on its way"
        raise PlatformFailed(finding, code="release-not-remembered", fix="Repeat the update", part="release")
