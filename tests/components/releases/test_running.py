"""Whether a command that held a lock has surely ended."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.releases import running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_TOKEN = "0123456789abcdef"
_PROGRAM = f"""
import sys
from mlflow_backend.releases.running import shown_as_running
with shown_as_running({_TOKEN!r}):
    print("runs", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A temporary folder of its own, as another machine has one."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", None)
    return tmp_path


@pytest.fixture
def command(machine: Path) -> Iterator[subprocess.Popen[str]]:
    """A command that runs until its input ends."""
    environment = {**os.environ, "TMPDIR": str(machine)}
    words = [sys.executable, "-c", _PROGRAM]
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment) as made:
        assert made.stdout is not None
        assert made.stdout.readline() == "runs\n"
        try:
            yield made
        finally:
            made.kill()


def test_a_killed_command_is_seen(command: subprocess.Popen[str], machine: Path) -> None:
    """Also before its parent has taken note of it; what it left is deleted by whoever takes its lock."""
    assert not running.was_killed(_TOKEN)
    command.send_signal(signal.SIGKILL)
    os.waitid(os.P_PID, command.pid, os.WEXITED | os.WNOWAIT)
    assert running.was_killed(_TOKEN)
    running.forget(_TOKEN)
    assert list(machine.iterdir()) == []


def test_nobody_can_tell_of_a_command_on_another_machine(
    command: subprocess.Popen[str], tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its file is not here."""
    command.kill()
    command.wait(timeout=30)
    monkeypatch.setenv("TMPDIR", str(tmp_path_factory.mktemp("other")))
    monkeypatch.setattr(tempfile, "tempdir", None)
    assert not running.was_killed(_TOKEN)


def test_a_command_that_ended_by_itself_leaves_nothing(machine: Path) -> None:
    """Its lock is given back, and nobody asks."""
    with running.shown_as_running(_TOKEN):
        assert not running.was_killed(_TOKEN)
    assert list(machine.iterdir()) == []


def test_a_machine_without_a_folder_for_it_shows_nothing(machine: Path) -> None:
    """The command goes on: the lease ends by itself."""
    machine.rmdir()
    with running.shown_as_running(_TOKEN):
        assert not running.was_killed(_TOKEN)
