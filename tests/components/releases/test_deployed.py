"""A deployed backend over a platform: it waits once, asks the database when it may, and holds its locks."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, cast

import pytest

from mlflow_backend.contract import Refused, Release, Revision, WaitOutcome
from mlflow_backend.deployed import DeployedBackend, NotServing
from mlflow_backend.releases.records import Dump, DumpedDatabase
from mlflow_backend.releases.stores import DUMPS, FileStore
from mlflow_backend.schema import Heads
from mlflow_backend.verify.subjects import Subject
from tests.components.verify.fake_mlflow import FakeMLflow, as_json

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow_backend.target import OneShot, Platform


class Machine:
    """A platform that notes what it is asked; its database is asked by a one-shot task."""

    asks_at_once = False
    start_deadline_s = 7.0
    target = "machine"
    url = ""
    within: OneShot | None = None

    def __init__(self, folder: Path, *, serves: bool = True) -> None:
        """Say whether a started revision gets ready."""
        self.store, self.asked, self.serves = FileStore(folder), list[Any](), serves

    def start_servers(self, revision: str) -> None:
        """Start a revision."""
        self.asked.append(("start", revision))

    def wait(self, revision: str, *, deadline_s: float) -> WaitOutcome:
        """Return whether it serves."""
        self.asked.append(("wait", revision, deadline_s))
        return WaitOutcome(serving=self.serves, reasons=() if self.serves else ("exec format error",))

    def heads(self) -> Heads:
        """Ask the database."""
        self.asked.append("heads")
        return Heads(tracking="a")

    def current(self) -> Revision | None:
        """Return what serves, if anything does."""
        release = Release(revision="4", mlflow_version="3.17.2")
        return Revision(id="4", release=release, state="serving", created_at=None) if self.serves else None

    def revisions(self) -> list[Revision]:
        """Return no revisions."""
        return []

    def busy(self) -> None:
        """Deploy nothing."""

    def subject(self, revision: str) -> Subject:
        """Return the server that serves."""
        self.asked.append(("subject", revision))
        return Subject(url=self.url)

    def secrets(self) -> dict[str, Any]:
        """Have no secrets."""
        return {}

    def inside(self) -> OneShot | None:
        """Say whether the URL can be called from the backend's network only."""
        return self.within


def deployed(machine: Machine) -> DeployedBackend:
    """Return a backend on it."""
    return DeployedBackend(cast("Platform", machine))


def test_a_start_does_not_wait_and_a_wait_is_as_long_as_the_platform_needs(tmp_path: Path) -> None:
    """A rollback waited twice: within its start, and in the step after it."""
    machine = Machine(tmp_path)
    deployed(machine).platform.start_servers("4")
    assert machine.asked == [("start", "4")]
    assert deployed(machine).wait("4").serving
    assert machine.asked[1:] == [("wait", "4", 7.0)]


def test_serving_again_waits_once_and_reports_the_platforms_reasons(tmp_path: Path) -> None:
    """The way back ends when users are answered, or says why they are not."""
    machine = Machine(tmp_path)
    deployed(machine).serve("4")
    assert machine.asked == [("start", "4"), ("wait", "4", 7.0)]
    with pytest.raises(NotServing, match="Revision 4 does not serve: exec format error"):
        deployed(Machine(tmp_path, serves=False)).serve("4")


def test_the_database_is_asked_under_a_lock_only_if_that_takes_a_task(tmp_path: Path) -> None:
    """A preview starts nothing; a migration and a rollback ask for themselves, and the question ends with them."""
    machine = Machine(tmp_path)
    made = deployed(machine)
    assert made.heads() is None
    for lock in (made.migration_lock, made.rollback_lock):
        with lock():
            assert made.heads() == Heads(tracking="a")
    assert made.heads() is None
    assert machine.asked == ["heads", "heads"]


def test_two_commands_do_not_roll_back_at_once(tmp_path: Path) -> None:
    """The second learns who works, and whoever asks learns that somebody does."""
    first, second = deployed(Machine(tmp_path)), deployed(Machine(tmp_path))
    with first.rollback_lock():
        assert second.rollback.running()
        with pytest.raises(Refused, match=r"Another command of .*@.* works on this backend"), second.rollback_lock():
            pytest.fail("both hold the lock")
    assert not second.rollback.running()
    with second.rollback_lock():
        pass


@pytest.mark.parametrize(
    ("database", "serves", "called_within", "live", "tasks"),
    [
        ("D", True, False, Heads(tracking="b"), 0),
        ("other", True, False, Heads(tracking="a"), 1),
        ("D", False, False, Heads(tracking="a"), 1),
        ("D", True, True, Heads(tracking="a"), 1),
    ],
    ids=["served", "another backend's server", "nothing serves", "called within its network alone"],
)
def test_a_rollback_takes_the_schema_of_its_own_server_else_of_a_task(
    tmp_path: Path, database: str, *, serves: bool, called_within: bool, live: Heads, tasks: int
) -> None:
    """A server answers at once, and a task waits to be scheduled; without either the schema would not be known."""
    machine = Machine(tmp_path, serves=serves)
    machine.within = cast("OneShot", object()) if called_within else None
    made = deployed(machine)
    made.ledger.add_undone_restore("none", identity={"database": "D"})
    with FakeMLflow() as server:
        said = as_json({"database": {"id": database, "head": "b"}})
        server.fault = lambda asked: said if asked.path == "/health/identity" else None
        machine.url = server.url
        with made.rollback_lock():
            assert made.rollback_context().live == live
    assert machine.asked.count("heads") == tasks


CONTENT = b"dumped"


def dumped(machine: Machine, name: str, *, head: str = "a") -> Dump:
    """Write a dump, and return its record."""
    part = DumpedDatabase(
        object="tracking.dump", sha256=hashlib.sha256(CONTENT).hexdigest(), size_bytes=len(CONTENT), head=head
    )
    for key, content in (("tracking.dump", CONTENT), ("manifest.json", b"{}")):
        machine.store.create(f"{DUMPS}/{name}/{key}", content)
    return Dump(id=name, address="", mlflow_version="3.4.0", taken_at=datetime.now(UTC), databases={"tracking": part})


@pytest.mark.parametrize(
    ("key", "content", "seen_by_size"),
    [
        ("tracking.dump", CONTENT[:-1], True),
        ("tracking.dump", CONTENT[:-1] + b"!", False),
        ("tracking.dump", None, True),
        ("manifest.json", None, True),
    ],
)
def test_a_dump_that_was_changed_is_not_restorable(
    tmp_path: Path, key: str, content: bytes | None, *, seen_by_size: bool
) -> None:
    """A rollback would end the servers for a dump that cannot be restored; a list looks at sizes alone."""
    machine = Machine(tmp_path)
    whole, made = dumped(machine, "d1"), deployed(machine)
    assert made.is_restorable(whole)
    machine.store.delete(f"{DUMPS}/d1/{key}")
    if content is not None:
        machine.store.create(f"{DUMPS}/d1/{key}", content)
    assert not made.is_restorable(whole)
    assert made.is_restorable(whole, verify_checksums=False) is not seen_by_size


def test_only_a_dump_that_a_rollback_could_take_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest whole one of each other schema: within the schema nothing is restored, and gigabytes take minutes."""
    machine = Machine(tmp_path)
    dumps = [dumped(machine, f"d{number}", head=head) for number, head in enumerate("bbcca")]
    read = list[str]()
    chunks = machine.store.chunks

    def noted(key: str) -> Any:
        read.append(key.split("/")[-2])
        return chunks(key)

    monkeypatch.setattr(machine.store, "chunks", noted)
    found = deployed(machine)._restorable(dumps, Heads(tracking="a"))
    assert found == {"d0", "d1", "d2", "d3", "d4"}
    assert read == ["d3", "d1"]
    read.clear()
    assert deployed(machine)._restorable(dumps, None) == found
    assert read == []
