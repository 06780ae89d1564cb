"""The real supervisord with small programs."""

from __future__ import annotations

import shutil
import sys
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.local import credentials, ports, processes, supervisor
from mlflow_backend.local.render import Program
from mlflow_backend.local.state import StateDir

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

# Says that it is ready, and needs two seconds to end, as a server with a request to answer.
SLOW = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, lambda *_: (time.sleep(2), sys.exit(0)))
pathlib.Path(sys.argv[1]).touch()
while True:
    time.sleep(0.1)
"""


@pytest.fixture
def state(tmp_path: Path) -> Iterator[StateDir]:
    """A stack's folder with a daemon."""
    # A space in the path once kept supervisord from finding its programs.
    made = StateDir(tmp_path / "a stäck's folder")
    credentials.ensure(made)
    supervisor.Supervisor(made).start()
    yield made
    supervisor.Supervisor(made).shutdown(timeout_s=20)


def test_a_copied_folder_commands_a_daemon_of_its_own(state: StateDir, tmp_path: Path) -> None:
    """A copy has the port and the password of the daemon beside it, which it must neither take for its own nor end."""
    copied = StateDir(tmp_path / "copy")
    shutil.copytree(state.path, copied.path)
    copy, original = supervisor.Supervisor(copied), supervisor.Supervisor(state)
    assert original.running()
    assert not copy.running()
    copy.shutdown(timeout_s=20)
    assert original.running()
    try:
        assert copy.start() != ports.known(state)["supervisor"]
        assert copy.running()
    finally:
        copy.shutdown(timeout_s=20)
    assert original.running()


def test_a_program_may_take_longer_to_end_than_a_call(
    state: StateDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A server ends its requests for minutes; the daemon is not waited for in one call, which would time out."""
    daemon, ready = supervisor.Supervisor(state), tmp_path / "ready"
    program = Program(name="slow", argv=(sys.executable, "-c", SLOW, str(ready)), start_seconds=0, stop_timeout_s=60)
    daemon.apply(program)
    daemon.wait(program.name, ready.exists, timeout_s=60)
    monkeypatch.setattr(supervisor, "_RPC_TIMEOUT_S", 1.0)
    daemon.remove(program.name)
    assert daemon.status(program.name) is None


def test_a_program_whose_removal_was_killed_is_still_listed_and_removed_by_the_next(
    state: StateDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its section is gone, the daemon still runs it: without the daemon's own list it would run for ever."""
    daemon, ready = supervisor.Supervisor(state), tmp_path / "ready"
    program = Program(name="slow", argv=(sys.executable, "-c", SLOW, str(ready)), start_seconds=0, stop_timeout_s=60)
    daemon.apply(program)
    daemon.wait(program.name, ready.exists, timeout_s=60)
    with monkeypatch.context() as killed:
        killed.setattr(supervisor.Supervisor, "_stop", _killed)
        with pytest.raises(KeyboardInterrupt):
            daemon.remove(program.name)
    assert daemon.programs() == (program.name,)
    daemon.remove(program.name)
    assert daemon.programs() == ()
    assert not processes.marked(str(state.path), program.name)


def _killed(*_arguments: object, **_options: object) -> None:
    raise KeyboardInterrupt
