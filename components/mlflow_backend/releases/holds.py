"""Pure: whether an update may serve the release that the settings describe, or is held to another one.

The ledger is the only truth. `release.pin` in the settings is a request: it must agree with the ledger, and where it
does not, both are named and nothing is touched.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_backend.contract import Refused

if TYPE_CHECKING:
    from mlflow_backend.releases.records import LedgerState


@dataclass(frozen=True, kw_only=True)
class Hold:
    """The update is held to `revision`. `manual` is a pin by command; otherwise the release failed and is blocked."""

    revision: str
    why: str
    manual: bool


def refuse_disagreement(state: LedgerState, requested: str | None) -> None:
    """Raise Refused if the settings ask for a pin that the ledger does not hold."""
    if requested is None or (state.pin is not None and state.pin.revision == requested):
        return
    held = "the ledger pins nothing" if state.pin is None else f"the ledger pins revision {state.pin.revision}"
    raise Refused(
        f"release.pin in the settings asks for revision {requested}, and {held}.",
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


def hold_of(state: LedgerState, *, settings_hash: str) -> Hold | None:
    """Return what an update of these settings is held to, None if it is free to serve them."""
    if state.pin is not None:
        pin = state.pin
        because = f" because {pin.reason}" if pin.reason else ""
        why = f"pinned to {pin.revision} since {pin.since:%Y-%m-%d %H:%M} UTC{because} (by {pin.by})"
        return Hold(revision=pin.revision, why=why, manual=True)
    block = state.block_of(settings_hash)
    if block is None:
        return None
    why = (
        f"blocked since {block.since:%Y-%m-%d %H:%M} UTC: as revision {block.revision} this release failed its "
        f"verification ({block.reason}), and revision {block.instead} serves instead"
    )
    return Hold(revision=block.instead, why=why, manual=False)
