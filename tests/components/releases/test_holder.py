"""Whether the process that holds a lock has surely ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.releases import holder

if TYPE_CHECKING:
    from collections.abc import Iterator

_PROGRAM = "import sys; from mlflow_backend.releases import holder; print(holder.own(), flush=True); sys.stdin.read()"


@pytest.fixture
def process() -> Iterator[subprocess.Popen[str]]:
    """A process that says who it is, and runs until its input ends."""
    command = [sys.executable, "-c", _PROGRAM]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as made:
        try:
            yield made
        finally:
            made.kill()


def test_a_killed_process_has_ended(process: subprocess.Popen[str]) -> None:
    """Also before its parent has taken note of it."""
    assert process.stdout is not None
    found = process.stdout.readline().strip()
    assert not holder.has_ended(found)
    process.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert holder.has_ended(found)
    process.wait(timeout=30)
    assert holder.has_ended(found)


@pytest.mark.parametrize("other", ["", "another-boot/pid:[1] {pid}", "{machine}0 {pid}"])
def test_nobody_knows_of_another_machines_process(process: subprocess.Popen[str], other: str) -> None:
    """Its number says nothing here; a lock of an older release has no holder."""
    process.kill()
    process.wait(timeout=30)
    machine = holder.own().partition(" ")[0]
    assert not holder.has_ended(other.format(machine=machine, pid=process.pid))


def test_this_process_runs() -> None:
    """A holder that lives is never taken for an ended one."""
    assert not holder.has_ended(holder.own())
