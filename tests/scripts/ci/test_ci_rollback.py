"""A rollback from a workflow: what somebody typed into the form reaches the command as data only."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.commands import rollback as command_line
from mlflow_backend.contract import ExitCode
from scripts.ci import rollback

if TYPE_CHECKING:
    from pathlib import Path

STAND_IN = """
import json, pathlib, sys
pathlib.Path({seen!r}).write_text(json.dumps(sys.argv[1:]))
print({said!r}, end="")
sys.exit({code})
"""


def stand_in(folder: Path, *, code: int = 0, said: str = '{"target": "local"}') -> tuple[str, ...]:
    """A program in the place of scripts/rollback.py."""
    path = folder / "stand_in.py"
    path.write_text(STAND_IN.format(seen=str(folder / "seen"), said=said, code=code))
    return (sys.executable, str(path))


def run(folder: Path, surroundings: dict[str, str], *arguments: str, code: int = 0, said: str = "{}") -> int:
    """Roll dev back with the form's values."""
    whole = ["--stack=dev", f"--into={folder / 'report'}", *arguments]
    return rollback.main(whole, environment=surroundings, command=stand_in(folder, code=code, said=said))


def test_the_plan_is_shown_and_kept(surroundings: dict[str, str], tmp_path: Path) -> None:
    """Who approves reads the plan on the page of the run."""
    said = '{"goal": "3", "downtime": 0}'
    assert run(tmp_path, surroundings, "--reason=slow", "--dry-run", said=said) == 0
    assert json.loads((tmp_path / "report" / "plan.json").read_text())["goal"] == "3"
    assert '"goal": "3"' in (tmp_path / "summary.md").read_text()
    assert "Plan of a rollback of `dev`: done" in (tmp_path / "summary.md").read_text()
    assert "--dry-run" in json.loads((tmp_path / "seen").read_text())
    assert "--yes" not in json.loads((tmp_path / "seen").read_text())


@pytest.mark.parametrize("code", [0, 1, 3, 4, 5, 99])
def test_it_ends_as_the_rollback_did(surroundings: dict[str, str], tmp_path: Path, code: int) -> None:
    """A refused rollback is a red run."""
    assert run(tmp_path, surroundings, "--reason=slow", code=code) == code
    assert (tmp_path / "report" / "rollback.json").exists()


def test_what_was_typed_is_data(surroundings: dict[str, str], tmp_path: Path) -> None:
    """A reason that looks like an option or like shell is a reason."""
    reason = "--force; rm -rf / `id` $(id) \"'"
    assert run(tmp_path, surroundings, f"--reason={reason}", "--to=arn:aws:ecs:x/mlflow:12") == 0
    parsed = command_line.parser().parse_args(json.loads((tmp_path / "seen").read_text()))
    assert (parsed.stack, parsed.to, parsed.reason) == ("dev", "arn:aws:ecs:x/mlflow:12", reason)
    assert parsed.yes
    assert parsed.json
    assert not parsed.force


@pytest.mark.parametrize("to", ["--force", "-1", "a b", "a;b", "$(id)"])
def test_a_revision_that_is_none_is_refused(surroundings: dict[str, str], tmp_path: Path, to: str) -> None:
    """Nothing is started for it."""
    assert run(tmp_path, surroundings, "--reason=slow", f"--to={to}") == ExitCode.USAGE
    assert not (tmp_path / "seen").exists()


@pytest.mark.parametrize("reason", ["", "  \t"])
def test_a_reason_is_required(
    surroundings: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str], reason: str
) -> None:
    """Somebody will be withheld a release and has to read why."""
    assert run(tmp_path, surroundings, f"--reason={reason}") == ExitCode.USAGE
    assert "a reason is required" in capsys.readouterr().err


def test_what_is_no_json_is_shown_as_it_is(surroundings: dict[str, str], tmp_path: Path) -> None:
    """A command that fails early prints nothing, and the page says so."""
    assert run(tmp_path, surroundings, "--reason=slow", code=3, said="") == ExitCode.REFUSED
    assert "the log says why" in (tmp_path / "summary.md").read_text()
    assert (tmp_path / "report" / "rollback.json").read_text() == "null\n"


def test_without_the_state_nothing_is_started(surroundings: dict[str, str], tmp_path: Path) -> None:
    """The ledger of another stack must not be read by accident."""
    del surroundings["MLFLOW_BACKEND_STATE"]
    assert run(tmp_path, surroundings, "--reason=slow") == ExitCode.USAGE
    assert not (tmp_path / "seen").exists()
