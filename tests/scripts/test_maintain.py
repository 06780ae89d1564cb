"""The command for maintenance as far as it needs no server: what it refuses, and dumps that are removed by name."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.commands import maintain
from mlflow_backend.contract import ExitCode
from mlflow_backend.local.state import StateDir
from mlflow_backend.releases.stores import DUMPS

if TYPE_CHECKING:
    from pathlib import Path

DAY_S = 24 * 3600


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with a stack on this machine that has three dumps, and no server."""
    (tmp_path / "Pulumi.local.yaml").write_text("config:\n  mlflow-backend:target: local\n")
    state = StateDir(tmp_path / ".backend" / "local")
    for age, name in enumerate(("newest", "older", "oldest")):
        path = state.backend_store / DUMPS / name / "tracking.dump"
        path.parent.mkdir(parents=True)
        path.write_bytes(b"PGDMP")
        at = path.stat().st_mtime - age * DAY_S
        os.utime(path, (at, at))
    state.active.write_text("")
    return tmp_path


def dumps(root: Path) -> set[str]:
    """Return the dumps that are there."""
    return {path.name for path in (StateDir(root / ".backend" / "local").backend_store / DUMPS).iterdir()}


def test_a_dump_is_removed_by_name_and_never_the_newest(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A rollback past the last migration restores the newest; a dry run removes nothing."""
    assert maintain.main(["--dry-run", "--remove", "dumps/oldest"], root=root) == ExitCode.DONE
    assert dumps(root) == {"newest", "older", "oldest"}
    capsys.readouterr()
    assert maintain.main(["--json", "--remove", "dumps/oldest"], root=root) == ExitCode.DONE
    assert json.loads(capsys.readouterr().out) == {"removed": 1}
    assert maintain.main(["--remove", "dumps/newest"], root=root) == ExitCode.REFUSED
    assert dumps(root) == {"newest", "older"}


@pytest.mark.parametrize(
    "name", ["dumps/", "dumps/..", "dumps/../ledger", "dumps/gone", "artifacts/gone", "oldest", "/"]
)
def test_a_name_of_nothing_is_refused(root: Path, name: str) -> None:
    """A folder above the dumps is none of them."""
    StateDir(root / ".backend" / "local").store.mkdir(parents=True)
    assert maintain.main(["--remove", name], root=root) == ExitCode.USAGE
    assert dumps(root) == {"newest", "older", "oldest"}


def test_a_stack_without_a_server_is_not_maintained(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Artifacts are removed by it: each run would be kept with a reason that says nothing."""
    assert maintain.main([], root=root) == ExitCode.REFUSED
    assert "make up" in capsys.readouterr().err


def test_days_are_one_or_more(root: Path) -> None:
    """What was deleted just now could not be restored any more."""
    with pytest.raises(SystemExit) as ended:
        maintain.main(["--keep-deleted-days", "0"], root=root)
    assert ended.value.code == ExitCode.USAGE
