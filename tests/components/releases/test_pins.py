"""Which release an update serves: the one that the ledger pins, what serves instead of a blocked one, or its own."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.contract import PlatformFailed, Refused, Release
from mlflow_backend.releases.journal import Journal
from mlflow_backend.releases.ledger import Ledger
from mlflow_backend.releases.pins import (
    PinnedRelease,
    is_pinned,
    ledger_contents,
    ledger_state,
    pinned_release,
    refuse_disagreement,
    refuse_overtaken,
    refuse_rotation,
)
from mlflow_backend.releases.records import Block, LedgerState, Pin
from mlflow_backend.releases.stores import FileStore
from mlflow_backend.server import AllowedCallers
from mlflow_backend.target import Described

if TYPE_CHECKING:
    from pathlib import Path

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
PIN = Pin(revision="2", since=NOW, reason="slow", by="ada@host")
BLOCK = Block(revision="3", settings_hash="bad", instead="2", since=NOW, reason="failed: health")
RELEASE = Release(revision="2", mlflow_version="3.4.0", image_digest="sha256:old")


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    """A backend's store, of which nothing is there yet."""
    return FileStore(tmp_path / "store")


def described(revision: str) -> Described:
    """Return what revision 2 runs, the only one that is left."""
    if revision != RELEASE.revision:
        raise Refused("it is gone", code="revision-gone")
    return Described(release=RELEASE, identity="good", callers=AllowedCallers())


def pinned(state: LedgerState, identity: str) -> PinnedRelease | None:
    """Return what an update of the release with this identity serves instead."""
    return pinned_release(state, identity=identity, describe=described)


def test_without_pin_or_block_an_update_is_free() -> None:
    """A release that nobody blocked is served."""
    assert pinned(LedgerState(blocks=(BLOCK,)), "other") is None


def test_a_pin_withholds_every_other_release_and_says_since_when_and_why() -> None:
    """The sentence is what the person whose release is withheld reads; what serves is what the revision runs."""
    found = pinned(LedgerState(pin=PIN), "new")
    assert found is not None
    assert (found.release, found.identity, found.manual) == (RELEASE, "good", True)
    for fact in ("pinned to 2", "2026-11-21 12:00 UTC", "slow", "ada@host"):
        assert fact in found.withheld


def test_nothing_is_withheld_if_the_pinned_revision_runs_the_settings_release() -> None:
    """The settings were put back too: the update ends green."""
    found = pinned(LedgerState(pin=PIN), "good")
    assert found is not None
    assert found.withheld == ""


def test_a_block_withholds_that_release_only() -> None:
    """Of the failed settings the revision before serves; a pin goes before a block."""
    found = pinned(LedgerState(blocks=(BLOCK,)), "bad")
    assert found is not None
    assert (found.release.revision, found.manual) == ("2", False)
    assert "failed: health" in found.withheld
    both = pinned(LedgerState(pin=PIN, blocks=(BLOCK,)), "bad")
    assert both is not None
    assert both.manual


def test_a_pinned_revision_that_is_gone_is_refused_with_the_way_out() -> None:
    """To serve another one would break the promise of the pin."""
    state = LedgerState(pin=Pin(revision="7", since=NOW, reason="slow", by="ada@host"))
    with pytest.raises(Refused) as refused:
        pinned(state, "new")
    assert refused.value.code == "pinned-revision-gone"
    assert "--unpin" in refused.value.fix
    assert "slow" in refused.value.finding


@pytest.mark.parametrize(
    ("state", "revision", "expected"),
    [
        (LedgerState(), "2", False),
        (LedgerState(pin=PIN), "2", True),
        (LedgerState(pin=PIN), "3", False),
        (LedgerState(blocks=(BLOCK,)), "2", True),
        (LedgerState(blocks=(BLOCK,)), "3", False),
        (LedgerState(pin=PIN, blocks=(BLOCK,)), None, False),
    ],
)
def test_the_revision_that_a_pin_or_a_block_names_is_known(
    state: LedgerState, revision: str | None, *, expected: bool
) -> None:
    """A refresh takes it for what is desired, and no other one."""
    assert is_pinned(state, revision) is expected


@pytest.mark.parametrize(("state", "requested"), [(LedgerState(), "2"), (LedgerState(pin=PIN), "1")])
def test_settings_that_disagree_with_the_ledger_are_refused(state: LedgerState, requested: str) -> None:
    """The ledger is the only truth: a request is never obeyed over it, and never ignored."""
    with pytest.raises(Refused) as refused:
        refuse_disagreement(state, requested)
    assert refused.value.code == "pin-disagrees"
    assert f"revision {requested}" in refused.value.finding
    assert ("revision 2" if state.pin else "nothing") in refused.value.finding


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


@pytest.mark.parametrize("read", [ledger_state, ledger_contents])
def test_an_update_reads_the_ledger_unless_a_rollback_was_interrupted(store: FileStore, read: type) -> None:
    """An update in between would end in neither of the rollback's two states; no store yet pins nothing."""
    read(store, requested=None)
    Ledger(store, by="ada").add_rollback(to="2", rolled_back_from="3", reason="slow", detail={})
    read(store, requested="2")
    with pytest.raises(Refused) as refused:
        read(store, requested="3")
    assert refused.value.code == "pin-disagrees"
    Journal(store, "rollback").write({"to": "2", "begun": "now"})
    with pytest.raises(Refused) as refused:
        read(store, requested="2")
    assert refused.value.code == "rollback-interrupted"


def test_an_update_that_a_rollback_has_overtaken_ends(store: FileStore) -> None:
    """It read the ledger before; what it would serve now is what the rollback left."""
    refuse_overtaken(store, "")
    Ledger(store, by="ada").add_rollback(to="2", rolled_back_from="3", reason="slow", detail={})
    refuse_overtaken(store, "2")
    with pytest.raises(PlatformFailed) as failed:
        refuse_overtaken(store, "")
    assert failed.value.code == "release-not-remembered"
