"""The release that an update serves: the settings', unless a pin or a block in the ledger names another revision.

The ledger is the only truth. `release.pin` in the settings is a request: it must agree with the ledger, and if it does
not, both are named and nothing is touched. Read by the program at every update, before any resource and by plain calls:
no store yet pins nothing, one that cannot be read is a refusal, because a pin may stand in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.releases.journal import refuse_unfinished
from mlflow_backend.releases.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend.contract import Release
    from mlflow_backend.releases.ledger import Contents
    from mlflow_backend.releases.records import LedgerState
    from mlflow_backend.releases.stores import Store
    from mlflow_backend.target import Described


@dataclass(frozen=True, kw_only=True)
class PinnedRelease:
    """The release that an update serves because a pin or a block names its revision.

    `withheld` says why the release of the settings waits; it is empty if the revision runs that very release. `manual`
    is whether a person pinned it; otherwise the release of the settings failed, and an automatic rollback blocked it.
    """

    release: Release
    identity: str
    withheld: str
    manual: bool


def ledger_state(store: Store, *, requested: str | None) -> LedgerState:
    """Return the ledger's pin and blocks; `requested` is the pin that the settings ask for.

    Raises Refused if it is another one, if a rollback or a restore was interrupted, if the newest record is damaged;
    PlatformFailed if the store cannot be read.
    """
    refuse_unfinished(store)
    state = Ledger(store, by="").state()
    refuse_disagreement(state, requested)
    return state


def ledger_contents(store: Store, *, requested: str | None) -> Contents:
    """Return the whole ledger, for an update that asks it for more than pin and blocks. Raises as `ledger_state`."""
    refuse_unfinished(store)
    contents = Ledger(store, by="").read()
    refuse_disagreement(contents.state, requested)
    return contents


def pinned_release(state: LedgerState, *, identity: str, describe: Callable[[str], Described]) -> PinnedRelease | None:
    """Return what is served instead of the release with this identity; None if an update is free to serve that.

    `describe` says what a revision runs (target.Platform). Raises Refused if the revision is gone.
    """
    revision, why = _named(state, identity)
    if revision is None:
        return None
    try:
        found = describe(revision)
    except Refused:
        raise Refused(
            f"The ledger names revision {revision}, which does not exist any more: {why}.",
            code="pinned-revision-gone",
            fix="Lift the pin with `python -m scripts.rollback --stack STACK --unpin`.",
        ) from None
    return PinnedRelease(
        release=found.release,
        identity=found.identity,
        withheld="" if found.identity == identity else why,
        manual=state.pin is not None,
    )


def is_pinned(state: LedgerState, revision: str | None) -> bool:
    """Return whether an update may have to leave this revision as it is: the pin names it, or without one a block."""
    named = {state.pin.revision} if state.pin is not None else {block.instead for block in state.blocks}
    return revision in named


def refuse_disagreement(state: LedgerState, requested: str | None) -> None:
    """Raise Refused if the settings ask for a pin that the ledger does not have."""
    if requested is None or (state.pin is not None and state.pin.revision == requested):
        return
    pinned = "the ledger pins nothing" if state.pin is None else f"the ledger pins revision {state.pin.revision}"
    raise Refused(
        f"release.pin in the settings asks for revision {requested}, and {pinned}.",
        code="pin-disagrees",
        fix=f"Roll back with `python -m scripts.rollback --stack STACK --to {requested}`, which pins it, or remove "
        "release.pin.",
    )


def refuse_rotation(state: LedgerState) -> None:
    """Raise Refused if a rotation of the encryption keys would reach servers that an update leaves as they are.

    An update of a pinned stack re-encrypts nothing, on any target: the pinned revision may have other keys.
    """
    pin = state.pin
    if pin is not None:
        raise Refused(
            f"The stack is pinned to revision {pin.revision}, and an update would re-encrypt nothing for its servers.",
            code="rotation-pinned",
            fix="Lift the pin with `python -m scripts.rollback --stack STACK --unpin`, update, and repeat.",
        )


def refuse_overtaken(store: Store, revision: str) -> None:
    """Raise if a rollback began, or pinned another revision than this, after the update had read the ledger.

    Refused for one that is under way or was interrupted, PlatformFailed for a pin.
    """
    refuse_unfinished(store)
    pin = Ledger(store, by="").state().pin
    if pin is not None and revision != pin.revision:
        finding = f"a rollback pinned revision {pin.revision} while this update was on its way"
        raise PlatformFailed(finding, code="release-not-remembered", fix="Repeat the update", part="release")


def _named(state: LedgerState, identity: str) -> tuple[str | None, str]:
    """Return the revision that goes before the release with this identity, and why; a pin goes before a block."""
    if state.pin is not None:
        pin = state.pin
        because = f" because {pin.reason}" if pin.reason else ""
        return pin.revision, f"pinned to {pin.revision} since {pin.since:%Y-%m-%d %H:%M} UTC{because} (by {pin.by})"
    block = state.block_of(identity)
    if block is None:
        return None, ""
    return block.instead, (
        f"blocked since {block.since:%Y-%m-%d %H:%M} UTC: as revision {block.revision} this release failed its "
        f"verification ({block.reason}), and revision {block.instead} serves instead"
    )
