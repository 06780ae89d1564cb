"""The ledger on a real folder: order, state, damage, and two writers at once."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.releases.ledger import Ledger
from mlflow_backend.releases.records import (
    Block,
    Dump,
    DumpedDatabase,
    Kind,
    LedgerState,
    Record,
    VerifiedRelease,
    decode,
    encode,
)
from mlflow_backend.releases.stores import LEDGER, FileStore
from mlflow_backend.schema import Heads
from mlflow_backend.schema_tables import required_heads

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
HEAD = "71994744cf8e"


def release(revision: str, *, settings_hash: str = "s1") -> VerifiedRelease:
    """Return a verified release with the parts that matter here."""
    return VerifiedRelease(
        target="local",
        revision=revision,
        mlflow_version="3.4.0",
        environment_lock="abc",
        heads=Heads(tracking=HEAD),
        settings_hash=settings_hash,
        verification_id=f"v{revision}",
        verdict="pass",
    )


def dump(name: str) -> Dump:
    """Return a dump's record."""
    tracking = DumpedDatabase(object="tracking.dump", sha256="0" * 64, size_bytes=1, head=HEAD, rows={"runs": 3})
    return Dump(
        id=name,
        address=f"s3://_backend/dumps/{name}",
        mlflow_version="3.4.0",
        taken_at=NOW,
        databases={"tracking": tracking},
    )


def block(revision: str, settings_hash: str) -> Block:
    """Return a block of a release that failed."""
    return Block(revision=revision, settings_hash=settings_hash, instead="1", since=NOW, reason="health failed")


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    """Return an empty ledger."""
    return Ledger(FileStore(tmp_path / "store"), by="ada@host")


def test_an_empty_ledger_pins_nothing_and_writes_nothing(tmp_path: Path) -> None:
    """Before the first update there is no folder, no pin and no failure."""
    ledger = Ledger(FileStore(tmp_path / "store"), by="ada@host")
    assert ledger.state() == LedgerState()
    assert ledger.read().records == ()
    assert not (tmp_path / "store").exists()


def test_records_are_numbered_and_read_back_as_written(ledger: Ledger) -> None:
    """What was appended is what is read, in order, by whom and when."""
    ledger.add_release(release("1"))
    ledger.add_dump(dump("d1"))
    ledger.add_release(release("2"))
    found = ledger.read()
    assert [record.number for record in found.records] == [1, 2, 3]
    assert [record.kind for record in found.records] == [Kind.RELEASE, Kind.DUMP, Kind.RELEASE]
    assert found.records[1].dump == dump("d1")
    assert found.records[0].by == "ada@host"
    assert found.damage == ()


def test_a_release_carries_the_dump_of_its_own_migration(ledger: Ledger) -> None:
    """The dump belongs to the release verified after it, also when that is verified again, and to no later one."""
    ledger.add_release(release("1"))
    ledger.add_dump(dump("d1"))
    for revision in ("2", "2", "3"):
        ledger.add_release(release(revision))
    assert [r.release.dump for r in ledger.read().releases if r.release] == [None, "d1", "d1", None]


def test_a_rollback_pins_its_target_and_marks_what_it_left(ledger: Ledger) -> None:
    """Two rollbacks in a row walk back: the first target's predecessor is marked, and a pin takes the mark away."""
    ledger.add_rollback(to="4", rolled_back_from="5", reason="slow", detail={})
    ledger.add_rollback(to="3", rolled_back_from="4", reason="slow too", detail={})
    state = ledger.state()
    assert state.pin is not None
    assert (state.pin.revision, state.pin.reason, state.pin.by) == ("3", "slow too", "ada@host")
    assert state.rolled_back_from == ("5", "4")
    assert ledger.add_rollback(to="5", rolled_back_from="3", reason="back", detail={}).state.rolled_back_from == (
        "4",
        "3",
    )


def test_a_block_is_lifted_by_another_release_and_by_nothing_else(ledger: Ledger) -> None:
    """The release that serves instead is verified again and again; only a new one shows that the fix is there."""
    ledger.add_release(release("1", settings_hash="good"))
    ledger.add_block(block("2", "bad"))
    ledger.add_release(release("1", settings_hash="good"))
    assert ledger.state().block_of("bad") == block("2", "bad")
    assert ledger.state().pin is None
    ledger.add_release(release("3", settings_hash="fixed"))
    assert ledger.state().blocks == ()
    assert ledger.state().rolled_back_from == ("2",)


@pytest.mark.parametrize(
    ("events", "ends"),
    [
        ("", False),
        ("1", True),
        ("2", False),
        ("1 2", False),
        ("2 1", True),
        ("1 unpin", True),
        ("1 dump", False),
        ("1 dump 1", True),
        ("1 dump 2", False),
        ("1 2 rollback", False),
        ("1 2 rollback unpin", False),
        ("1 2 rollback 1", True),
        ("1 2 1 block", False),
        ("1 2 1 block 1 unpin", True),
        ("1 lost", False),
        ("1 1 lost", True),
        ("2 1 lost", False),
        ("1 2 lost", True),
    ],
)
def test_what_a_ledger_ends_with(ledger: Ledger, tmp_path: Path, events: str, *, ends: bool) -> None:
    """A release is recorded again if anything else served, or was dumped, since its record, or if that is lost."""

    def lose() -> None:
        (tmp_path / "store" / LEDGER / f"{ledger.read().last:08d}.json").unlink()
        ledger.accept_loss()

    make: dict[str, Callable[[], object]] = {
        "dump": lambda: ledger.add_dump(dump("d")),
        "unpin": lambda: ledger.add_unpin("over"),
        "rollback": lambda: ledger.add_rollback(to="1", rolled_back_from="2", reason="worse", detail={}),
        "block": lambda: ledger.add_block(block("2", "s2")),
        "lost": lose,
        "1": lambda: ledger.add_release(release("1")),
        "2": lambda: ledger.add_release(release("2")),
    }
    for event in events.split():
        make[event]()
    assert ledger.read().ends_with("1") is ends


@pytest.mark.parametrize(
    ("verified", "changes"),
    [
        ([], True),
        ([("new", "3.17.2")], True),
        ([("old", "3.17.2")], False),
        ([("old", "3.4.0")], True),
        ([("old", "3.17.2"), ("new", "3.17.2")], False),
        ([("old", "3.4.0"), ("new", "3.17.2")], True),
        ([("older", "3.4.0"), ("old", "3.17.2")], False),
    ],
)
def test_the_release_before_says_whether_the_schema_changes(
    ledger: Ledger, verified: list[tuple[str, str]], *, changes: bool
) -> None:
    """A second update of the same release gets the same answer: its own record is not the one before."""
    for number, (settings_hash, version) in enumerate(verified):
        heads = required_heads(version, auth=False)
        assert heads is not None
        ledger.add_release(replace(release(str(number), settings_hash=settings_hash), heads=heads))
    assert ledger.read().changes_schema("new", "3.17.2") is changes


def test_unpin_lifts_pin_and_blocks(ledger: Ledger) -> None:
    """One command lets updates through again."""
    ledger.add_block(block("2", "bad"))
    ledger.add_rollback(to="1", rolled_back_from="2", reason="", detail={})
    state = ledger.add_unpin("fixed").state
    assert (state.pin, state.blocks, state.rolled_back_from) == (None, (), ("2",))


@pytest.mark.parametrize("damage", ["truncate", "change", "delete", "empty"])
def test_a_damaged_old_record_costs_its_line_only(ledger: Ledger, tmp_path: Path, damage: str) -> None:
    """The state is in the newest record: a pin survives the loss of the record that set it."""
    ledger.add_release(release("1"))
    ledger.add_rollback(to="1", rolled_back_from="2", reason="slow", detail={})
    ledger.add_release(release("1"))
    spoil(tmp_path / "store" / LEDGER / "00000002.json", damage)
    ledger = Ledger(FileStore(tmp_path / "store"), by="the next command")
    found = ledger.read()
    assert [d.number for d in found.damage] == [2]
    assert found.state.pin is not None
    assert ledger.state().pin == found.state.pin
    ledger.add_release(release("3"))
    assert ledger.state().pin is not None


@pytest.mark.parametrize("damage", ["truncate", "change", "delete", "empty"])
def test_a_damaged_newest_record_is_refused_until_accepted(ledger: Ledger, tmp_path: Path, damage: str) -> None:
    """What may hold a pin is never skipped in silence; after the loss is accepted the ledger goes on."""
    ledger.add_release(release("1"))
    ledger.add_rollback(to="1", rolled_back_from="2", reason="slow", detail={})
    spoil(tmp_path / "store" / LEDGER / "00000002.json", damage)
    with pytest.raises(Refused, match="record 2"):
        ledger.state()
    with pytest.raises(Refused, match="record 2"):
        ledger.add_release(release("3"))
    assert ledger.accept_loss().kind is Kind.LOSS
    assert ledger.state() == LedgerState()
    assert ledger.add_release(release("3")).number == 3
    with pytest.raises(Refused, match="is whole"):
        ledger.accept_loss()


def test_a_store_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    """The failure names the file and what to do, and is no bare OSError."""
    (tmp_path / "store").write_text("a file where the folder should be")
    with pytest.raises(PlatformFailed, match=r"store.*writable"):
        Ledger(FileStore(tmp_path / "store"), by="ada").add_release(release("1"))


@pytest.mark.parametrize("key", ["../credentials/salt", "/etc/passwd", "", "a/../../b"])
def test_no_key_leads_out_of_the_store(tmp_path: Path, key: str) -> None:
    """A key that comes from a record cannot name a file outside the store."""
    with pytest.raises(ValueError, match="not a key"):
        FileStore(tmp_path).path(key)


def append_many(folder: str, writer: str, count: int) -> None:
    """Append releases as one of several processes."""
    ledger = Ledger(FileStore(Path(folder)), by=writer)
    for number in range(count):
        ledger.add_release(release(f"{writer}-{number}"))


def test_two_writers_lose_no_record(tmp_path: Path) -> None:
    """Three processes append at once: every record is there, each under a number of its own."""
    context = multiprocessing.get_context("spawn")
    writers = [context.Process(target=append_many, args=(str(tmp_path), name, 20)) for name in "abc"]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(timeout=60)
    assert [writer.exitcode for writer in writers] == [0, 0, 0]
    found = Ledger(FileStore(tmp_path), by="test").read()
    assert found.damage == ()
    assert {r.release.revision for r in found.releases if r.release} == {f"{n}-{i}" for n in "abc" for i in range(20)}
    assert not [path for path in (tmp_path / LEDGER).iterdir() if path.name.startswith(".")]


class Counted(FileStore):
    """A store that notes what is read."""

    def __init__(self, folder: Path) -> None:
        """Nothing was read yet."""
        super().__init__(folder)
        self.asked = list[str]()

    def read(self, keys: Sequence[str]) -> Mapping[str, bytes]:
        """Note the keys."""
        self.asked += [key for key in keys if key.startswith(LEDGER)]
        return super().read(keys)


def test_a_command_reads_a_record_once(tmp_path: Path) -> None:
    """In a bucket each read is a call, and a rollback reads the ledger four times."""
    store = Counted(tmp_path)
    ledger = Ledger(store, by="ada@host")
    for number in range(4):
        ledger.add_release(release(f"{number}"))
    Ledger(FileStore(tmp_path), by="other").add_unpin("fixed")
    assert [record.number for record in ledger.read().records] == [1, 2, 3, 4, 5]
    assert store.asked == sorted(set(store.asked))


class Overtaken(FileStore):
    """A store in which another writer appends just after the keys were listed."""

    def keys(self, prefix: str) -> Sequence[str]:
        """Return the keys as they were."""
        found = super().keys(prefix)
        Ledger(FileStore(self.folder), by="other").add_release(release(f"other-{len(found)}"))
        return found


def test_another_writers_record_is_not_taken_for_a_lost_one(tmp_path: Path) -> None:
    """The hint of the newest number is read before the list: a record made in between is later, not missing."""
    Ledger(FileStore(tmp_path), by="ada").add_release(release("1"))
    assert Ledger(Overtaken(tmp_path), by="ada").read().damage == ()


RECORDS = st.builds(
    Record,
    number=st.integers(1, 10**8 - 1),
    kind=st.just(Kind.ROLLBACK),
    at=st.datetimes(timezones=st.just(UTC)),
    by=st.text(max_size=20),
    body=st.dictionaries(st.text(max_size=8), st.text(max_size=8), max_size=3),
    state=st.builds(
        LedgerState,
        pin=st.none(),
        blocks=st.lists(st.builds(Block, since=st.datetimes(timezones=st.just(UTC))), max_size=2).map(tuple),
        rolled_back_from=st.lists(st.text(max_size=5), max_size=3).map(tuple),
    ),
)


@given(RECORDS)
def test_a_record_is_read_back_as_written(record: Record) -> None:
    """Encoding loses nothing, whatever text a reason or a name holds."""
    assert decode(encode(record), number=record.number) == record


@given(RECORDS, st.data())
def test_no_changed_record_is_believed(record: Record, data: st.DataObject) -> None:
    """A byte changed or a tail cut off is noticed; nothing but PlatformFailed comes of it."""
    content = encode(record)
    place = data.draw(st.integers(0, len(content) - 2))
    cut = data.draw(st.booleans())
    changed = content[:place] if cut else content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]
    try:
        assert decode(changed, number=record.number) == record
    except PlatformFailed:
        return


def spoil(path: Path, damage: str) -> None:
    """Damage a file in one of the ways in which files are damaged."""
    content = path.read_bytes()
    if damage == "delete":
        path.unlink()
    else:
        path.write_bytes(
            {"truncate": content[: len(content) // 2], "change": content.replace(b"slow", b"fast"), "empty": b""}[
                damage
            ]
        )


def test_the_identity_of_a_backend_is_kept_by_every_later_record(tmp_path: Path) -> None:
    """Whatever is recorded after it, the newest record alone says what the backend is known by."""
    kept = Ledger(FileStore(tmp_path), by="me")
    kept.add_release(release("1"))
    assert kept.state().identity is None
    kept.add_release(release("1"), identity={"database": "D", "store": "S"})
    kept.add_dump(dump("d1"))
    kept.add_rollback(to="1", rolled_back_from="2", reason="r", detail={})
    kept.add_unpin("u")
    kept.add_release(release("2"))
    assert kept.state().identity == {"database": "D", "store": "S"}
    kept.add_release(release("2"), identity={"database": "D", "store": "S", "users": "U"})
    kept.add_release(release("2"), identity={"database": "D", "store": "S"})
    assert kept.state().identity == {"database": "D", "store": "S", "users": "U"}


def test_accepting_another_backend_forgets_the_identity(tmp_path: Path) -> None:
    """The next verification says what the backend is; pins and blocks stand."""
    kept = Ledger(FileStore(tmp_path), by="me")
    kept.add_release(release("1"), identity={"database": "D", "store": "S"})
    kept.add_rollback(to="1", rolled_back_from="2", reason="r", detail={})
    assert kept.accept_identity("moved").kind is Kind.IDENTITY
    assert kept.state().identity is None
    assert kept.state().pin is not None


def test_a_restore_is_known_until_it_is_undone(tmp_path: Path) -> None:
    """The backend is what the backup was taken of; what it was is kept for the undoing, and nothing is unpinned."""
    kept = Ledger(FileStore(tmp_path), by="me")
    kept.add_release(release("1"), identity={"database": "D", "store": "S"})
    kept.add_rollback(to="1", rolled_back_from="2", reason="r", detail={})
    assert kept.read().last_restore is None
    kept.add_restore("b1", before={"database": "D", "store": "S"}, identity={"database": "O", "store": "P"})
    assert kept.read().last_restore == ("b1", {"database": "D", "store": "S"})
    assert kept.state().identity == {"database": "O", "store": "P"}
    kept.add_undone_restore("b1", identity={"database": "D", "store": "S"})
    assert kept.read().last_restore is None
    assert kept.state().identity == {"database": "D", "store": "S"}
    assert kept.state().pin is not None


def test_a_record_of_before_the_identity_is_read(tmp_path: Path) -> None:
    """A ledger that exists is gone on with."""
    kept = Ledger(FileStore(tmp_path), by="me")
    record = kept.add_release(release("1"))
    document = json.loads(encode(record))
    del document["checksum"], document["state"]["identity"]
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()
    assert decode(json.dumps({**document, "checksum": digest}).encode(), number=1) == record
