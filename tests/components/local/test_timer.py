"""The timer as a real process that starts this project's commands: what was missed, what fails, what is interrupted."""

from __future__ import annotations

import json
import os
import subprocess
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import psutil
import pytest

from mlflow_backend.backup import sealing
from mlflow_backend.codec import to_document
from mlflow_backend.local import timed, timer
from mlflow_backend.local.state import StateDir, write
from mlflow_backend.pace import wait_until
from mlflow_backend.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DEADLINE_S = 120.0
YEARLY = "0 0 1 1 *"
DESTINATION = {"destination": "/backups", "recoveryKey": sealing.public_key(sealing.new_key())}


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    """A stack's folder, in which nothing runs."""
    made = StateDir(tmp_path / ".backend" / "stack")
    made.logs.mkdir(parents=True)
    return made


@pytest.fixture
def pipe(tmp_path: Path) -> Path:
    """A stack's file that is a pipe: a command waits in it until somebody writes."""
    made = tmp_path / "Pulumi.pipe.yaml"
    os.mkfifo(made)
    return made


@pytest.fixture
def started(state: StateDir, pipe: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    """A timer whose work was missed for two years; the test names the commands."""
    long_ago = datetime.now(UTC) - timedelta(days=800)
    write(state.timer, json.dumps({"backup": {"since": long_ago.isoformat()}}))
    commands = tuple(tuple(part.format(folder=pipe.parent) for part in command) for command in request.param)
    work = to_document(timed.Work(name="backup", schedule=YEARLY, commands=commands))
    program = timed.program(state, pipe.parent, [work])
    write(state.programs / f"{program.name}.json", json.dumps(program.manifest()))
    with subprocess.Popen(program.argv, cwd="/") as process:
        yield process
        process.kill()


def ended(state: StateDir) -> bool:
    """Return whether the work has ended, however."""
    record = timer.records(state).get("backup")
    return record is not None and record.ended_at is not None


NEW_KEY = ("backup", "new-key", "{folder}/key.txt")


@pytest.mark.parametrize("started", [(NEW_KEY, NEW_KEY, ("backup", "new-key", "{folder}/never"))], indirect=True)
def test_missed_work_runs_at_once_and_its_failure_is_shown(
    state: StateDir, started: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    """The commands run one after another, the first that fails ends them, and its last line is the finding."""
    assert wait_until(lambda: ended(state), timeout_s=DEADLINE_S)
    shown = timer.described(state)["backup"]
    assert "exit code 3" in shown
    assert "key.txt" in shown
    assert not (tmp_path / "never").exists()
    assert sealing.read_key(tmp_path / "key.txt").startswith("AGE-SECRET-KEY")
    assert started.poll() is None


@pytest.mark.parametrize("started", [(("backup", "--stack", "pipe", "list"),)], indirect=True)
def test_a_timer_that_ends_interrupts_its_command_and_repeats_it_later(
    state: StateDir, started: subprocess.Popen[bytes]
) -> None:
    """A command that nobody waits for any more would go on beside the next one."""
    assert wait_until(lambda: bool(psutil.Process(started.pid).children()), timeout_s=DEADLINE_S)
    children = psutil.Process(started.pid).children()
    started.terminate()
    assert started.wait(timeout=DEADLINE_S) == 0
    assert not any(child.is_running() for child in children)
    record = timer.records(state)["backup"]
    assert (record.attempts, record.ended_at) == (1, None)


@pytest.mark.parametrize(
    ("section", "commands"),
    [
        ({}, {}),
        (DESTINATION, {"backup": ["create", "prune"], "drill": ["drill"]}),
        (DESTINATION | {"destination": "s3://bucket/prefix"}, {"backup": ["create"], "drill": ["drill"]}),
        (DESTINATION | {"schedule": "never"}, {"drill": ["drill"]}),
        (DESTINATION | {"schedule": "never", "drillSchedule": "never"}, {}),
    ],
    ids=["no destination", "a folder", "a bucket", "drills alone", "never"],
)
def test_what_is_scheduled(section: dict[str, str], commands: dict[str, list[str]]) -> None:
    """Who writes to a bucket is not to delete from it; nothing is scheduled that goes nowhere."""
    works = timed.works(Settings.model_validate({"target": "local", "backup": section}), stack="local")
    assert {work.name: [command[-1] for command in work.commands] for work in works} == commands
    assert {command[:3] for work in works for command in work.commands} <= {("backup", "--stack", "local")}


@pytest.mark.parametrize(
    ("section", "schedules"), [({}, []), ({"schedule": "never"}, []), ({"schedule": "*/10 * * * *"}, ["*/10 * * * *"])]
)
def test_a_backend_is_verified_between_updates_too(section: dict[str, str], schedules: list[str]) -> None:
    """By the profile that its updates are verified with; the default of a stack's file is its name's."""
    settings = Settings.model_validate({"target": "local", "verify": {"profile": "full", **section}})
    works = timed.works(settings, stack="production")
    assert [work.schedule for work in works] == schedules
    assert all(command[3:5] == ("--profile", "full") for work in works for command in work.commands)
