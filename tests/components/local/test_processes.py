"""Which processes live: one that has ended stays in the table, and takes signals, until its parent collects it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.local import processes
from mlflow_backend.local.database import Database
from mlflow_backend.local.state import StateDir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextlib.contextmanager
def uncollected(marker: str = "") -> Iterator[int]:
    """Give the number of a process that has ended and that nobody has collected."""
    environment = {**os.environ, processes.STATE_MARKER: marker}
    ended = subprocess.Popen([sys.executable, "-c", ""], env=environment)
    try:
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        os.kill(ended.pid, 0)
        yield ended.pid
    finally:
        ended.wait(timeout=30)


def test_an_ended_process_is_none_of_the_stacks(tmp_path: Path) -> None:
    """Nobody waits for it, or calls it a leftover."""
    with uncollected(str(tmp_path)) as pid:
        assert processes.ended(pid)
        assert processes.state_of(pid) is None
        assert processes.marked(str(tmp_path)) == []
    assert not processes.ended(os.getpid())


def test_the_processes_of_several_programs_are_found_at_once(tmp_path: Path) -> None:
    """Those of the programs that are named, of all if none is, and of no other stack."""
    with contextlib.ExitStack() as stack:
        started = {}
        for state, program in ((tmp_path, "a"), (tmp_path, "b"), (tmp_path, "c"), (tmp_path / "other", "a")):
            marks = {processes.STATE_MARKER: str(state), processes.PROGRAM_MARKER: program}
            command = [sys.executable, "-c", "input()"]
            # It ends when its input does: at the end of this block.
            child = subprocess.Popen(
                command, env={**os.environ, **marks}, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL
            )
            stack.enter_context(child)
            started[state, program] = child.pid

        def found(*programs: str) -> set[int]:
            return {process.pid for process in processes.marked(str(tmp_path), *programs)}

        assert found("a", "b") == {started[tmp_path, "a"], started[tmp_path, "b"]}
        assert found() == {started[tmp_path, each] for each in "abc"}


def test_a_lock_of_a_living_postgres_stays(tmp_path: Path) -> None:
    """Two servers on one folder would destroy it: only the lock of one that has ended is taken away."""
    state = StateDir(tmp_path)
    state.database.mkdir()
    (state.database / "PG_VERSION").write_text("16")
    lock = state.database / "postmaster.pid"
    for content in (f"{os.getpid()}\n", f"-{os.getpid()}\n", "garbage", "", f"{1 << 30}\n"):
        lock.write_text(content)
        Database(state, 1, max_connections=10).prepare()
        assert lock.exists(), content


@pytest.mark.parametrize("sign", ["", "-"])
def test_a_lock_of_an_ended_postgres_goes(tmp_path: Path, sign: str) -> None:
    """Postgres asks by a signal whether its predecessor lives, and would refuse to start beside an uncollected one."""
    state = StateDir(tmp_path)
    state.database.mkdir()
    (state.database / "PG_VERSION").write_text("16")
    with uncollected() as pid:
        lock = state.database / "postmaster.pid"
        lock.write_text(f"{sign}{pid}\n{state.database}\n")
        Database(state, 1, max_connections=10).prepare()
        # A negative number is that of a single-user server, which this project never starts.
        assert lock.exists() is bool(sign)
