"""What an update is held to: the ledger's pin, a block on that very release, or nothing."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from mlflow_backend.contract import Refused
from mlflow_backend.releases.holds import hold_of, refuse_disagreement, refuse_rotation
from mlflow_backend.releases.records import Block, LedgerState, Pin

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PIN = Pin(revision="2", since=NOW, reason="slow", by="ada@host")
BLOCK = Block(revision="3", settings_hash="bad", instead="2", since=NOW, reason="failed: health")


def test_without_pin_or_block_an_update_is_free() -> None:
    """A release that nobody blocked is served."""
    assert hold_of(LedgerState(blocks=(BLOCK,)), settings_hash="good") is None


def test_a_pin_holds_every_release_and_says_since_when_and_why() -> None:
    """The sentence is what the person whose release is withheld reads."""
    hold = hold_of(LedgerState(pin=PIN), settings_hash="good")
    assert hold is not None
    assert (hold.revision, hold.manual) == ("2", True)
    assert hold.why == "pinned to 2 since 2026-11-21 12:00 UTC because slow (by ada@host)"


def test_a_block_holds_that_release_only() -> None:
    """The failed settings are held to what serves instead; a pin goes before a block."""
    hold = hold_of(LedgerState(blocks=(BLOCK,)), settings_hash="bad")
    assert hold is not None
    assert (hold.revision, hold.manual) == ("2", False)
    assert "failed: health" in hold.why
    both = hold_of(LedgerState(pin=PIN, blocks=(BLOCK,)), settings_hash="bad")
    assert both is not None
    assert both.manual


@pytest.mark.parametrize(
    ("state", "requested", "match"),
    [
        (LedgerState(), "2", "asks for revision 2, and the ledger pins nothing"),
        (LedgerState(pin=PIN), "1", "asks for revision 1, and the ledger pins revision 2"),
    ],
)
def test_settings_that_disagree_with_the_ledger_are_refused(state: LedgerState, requested: str, match: str) -> None:
    """The ledger is the only truth: a request is never obeyed over it, and never ignored."""
    with pytest.raises(Refused, match=match):
        refuse_disagreement(state, requested)


def test_settings_that_agree_or_ask_for_nothing_pass() -> None:
    """The same pin in both places is what a settings file under review looks like."""
    refuse_disagreement(LedgerState(pin=PIN), "2")
    refuse_disagreement(LedgerState(pin=PIN), None)
    refuse_disagreement(LedgerState(), None)


def test_a_rotation_of_a_pinned_stacks_keys_is_refused() -> None:
    """One rule holds for all targets: an update of a pinned stack re-encrypts nothing."""
    with pytest.raises(Refused, match="revision 2") as refused:
        refuse_rotation(LedgerState(pin=PIN))
    assert "--unpin" in refused.value.fix
    refuse_rotation(LedgerState(blocks=(BLOCK,)))
