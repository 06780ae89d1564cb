"""Files of a local stack: ports that are kept, revisions that are never rewritten, writes that are whole."""

from __future__ import annotations

import socket
import threading
from pathlib import Path

import pytest

from mlflow_backend import environments
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.local import environment, ports, revisions
from mlflow_backend.local.state import StateDir, write
from tests.components.local.records import record


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    """A stack's folder."""
    return StateDir(tmp_path / "stack")


def test_a_port_is_chosen_once_and_kept(state: StateDir) -> None:
    """Restarts and revisions find the same port; a wanted one takes its place; a forgotten one is chosen anew."""
    first = ports.choose(state, "front")
    assert ports.choose(state, "front") == first
    assert ports.choose(state, "front", wanted=5000) == 5000
    assert ports.known(state) == {"front": 5000}
    ports.forget(state, "front")
    assert ports.known(state) == {}


def test_ports_chosen_at_the_same_time_differ(state: StateDir) -> None:
    """Providers run in threads of one process: no two parts get one port."""
    threads = [threading.Thread(target=ports.choose, args=(state, f"part-{n}")) for n in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(ports.known(state).values())) == 20


def test_a_lock_that_somebody_holds_is_not_waited_for_for_ever(state: StateDir) -> None:
    """A command that hangs with the lock must not hang the next one too: it learns what holds it up."""
    with (
        state.locked("switch"),
        pytest.raises(PlatformFailed, match="has held the lock 'switch'"),
        state.locked("switch", wait_s=0.1),
    ):
        pass
    with state.locked("switch", wait_s=0):
        pass


def test_a_taken_port_is_not_free() -> None:
    """A listener of somebody else is seen."""
    with socket.socket() as other:
        other.bind((ports.LOOPBACK, 0))
        other.listen()
        assert not ports.is_free(other.getsockname()[1])
        assert ports.listens(other.getsockname()[1])


def test_revisions_are_numbered_from_1_listed_newest_first_and_never_rewritten(state: StateDir) -> None:
    """A number is used once, also after its revision was dropped."""
    assert revisions.next_number(state) == 1
    first, second = record(1), record(2)
    revisions.save(state, first)
    revisions.save(state, second)
    assert revisions.list_all(state) == (second, first)
    with pytest.raises(PlatformFailed, match="revision 2"):
        revisions.save(state, record(2, port=20_002))
    assert revisions.load(state, 2) == second
    revisions.drop(state, 2)
    assert revisions.next_number(state) == 3
    with pytest.raises(PlatformFailed, match="does not exist"):
        revisions.load(state, 2)


def test_a_write_that_fails_leaves_the_old_file(state: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """No reader ever sees half a file, and no temporary one is left."""
    path = state.path / "active"
    write(path, "old")

    def broken(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", broken)
    with pytest.raises(PlatformFailed, match="No space left"):
        write(path, "new")
    assert path.read_text() == "old"
    assert [p.name for p in state.path.iterdir()] == ["active"]


def test_every_default_and_tested_version_has_a_lock() -> None:
    """The versions that the documents name can be installed; another is refused with those that can."""
    assert {"2.9.2", "3.1.4", "3.4.0", "3.17.2"} <= set(environments.locked_versions())
    with pytest.raises(PlatformFailed, match=r"MLflow 2\.9\.0 has no lock; .*3\.17\.2.*lock_server"):
        environment.locate("2.9.0")


def test_numbers_go_on_after_those_that_the_ledger_knows(state: StateDir) -> None:
    """The ledger outlives the folder of revisions: a number that it knows must not come to mean another revision."""
    assert revisions.next_number(state) == 1
    assert revisions.next_number(state, ["3", "12", "x"]) == 13
    revisions.save(state, record(20))
    assert revisions.next_number(state, ["3"]) == 21
    for damage in ("", "garbage", "null", "-4"):
        (state.revisions / "last").write_text(damage)
        assert revisions.next_number(state) == 21


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"nul", b"null", b"[1]", b'"x"', b'{"front": "x"}', b'{"front": []}']
)
def test_damaged_ports_are_named_with_a_way_out(state: StateDir, content: bytes) -> None:
    """'Expecting value: line 1 column 1 (char 0)' was all that was said, for ever."""
    state.path.mkdir()
    (state.path / "ports.json").write_bytes(content)
    with pytest.raises(PlatformFailed, match=r"ports\.json.*make up"):
        ports.known(state)


@pytest.mark.parametrize("content", [b"", b"\xff", b"nul", b"null", b"[1]", b"{}", b'{"number": "x"}'])
def test_a_damaged_revision_is_named_with_a_way_out(state: StateDir, content: bytes) -> None:
    """The others are there still, and so is the data."""
    revisions.save(state, record(1))
    (state.revisions / "00001" / "revision.json").write_bytes(content)
    with pytest.raises(PlatformFailed, match=r"revision\.json.*make up"):
        revisions.load(state, 1)


def test_what_the_system_refuses_is_named(state: StateDir) -> None:
    """A full disk says neither which file, nor what helps."""
    with pytest.raises(PlatformFailed, match=r"/dev/full.*cannot be written"):
        write(Path("/dev/full/a"), "text")
