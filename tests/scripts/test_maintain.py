"""The command for maintenance as far as it needs no server: what it refuses, and dumps that are removed by name."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mlflow_backend import targets
from mlflow_backend.commands import maintain
from mlflow_backend.contract import ExitCode, PlatformFailed
from mlflow_backend.local.state import StateDir
from mlflow_backend.releases import maintenance_record
from mlflow_backend.releases.stores import DUMPS, FileStore
from tests.components.maintained import FOUND

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow_backend.maintenance import Maintained

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


class Maintaining:
    """What maintains, and fails if it is told to."""

    def __init__(self, *, fails: bool) -> None:
        self._fails = fails

    def maintain(self, *, keep_deleted_days: int, dry_run: bool) -> Maintained:
        """Do nothing."""
        del keep_deleted_days
        if self._fails:
            raise PlatformFailed("it does not answer", code="of-a-test", fix="Look", part="database")
        return replace(FOUND, dry_run=dry_run)


@pytest.mark.parametrize(("fails", "how"), [(False, "done 2"), (True, "failed 2")])
def test_how_a_maintenance_by_command_went_is_recorded(
    root: Path, monkeypatch: pytest.MonkeyPatch, *, fails: bool, how: str
) -> None:
    """No scheduler knows of it, and the status said that there was none; a dry run is none."""
    monkeypatch.setattr(type(targets.get("local")), "maintenance", lambda *_: Maintaining(fails=fails))
    store = FileStore(StateDir(root / ".backend" / "local").backend_store)
    maintain.main(["--dry-run"], root=root)
    assert maintenance_record.last(store) is None
    assert maintain.main([], root=root) == (ExitCode.PLATFORM_FAILED if fails else ExitCode.DONE)
    assert (maintenance_record.last(store) or "").startswith(how)


def test_a_maintenance_that_cannot_be_recorded_was_done(
    root: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever may run its task may perhaps not write to the store: it is said, and no failure."""
    monkeypatch.setattr(type(targets.get("local")), "maintenance", lambda *_: Maintaining(fails=False))
    failing = Maintaining(fails=True)
    monkeypatch.setattr(
        maintenance_record, "keep", lambda *_, **__: failing.maintain(keep_deleted_days=1, dry_run=False)
    )
    assert maintain.main([], root=root) == ExitCode.DONE
    assert "not recorded" in capsys.readouterr().err


def test_a_damaged_record_is_named(root: Path) -> None:
    """A status of nothing would say that nobody maintains."""
    store = FileStore(StateDir(root / ".backend" / "local").backend_store)
    store.replace("_backend/maintenance.json", b"[]")
    with pytest.raises(PlatformFailed, match=r"maintenance\.json"):
        maintenance_record.last(store)


def test_days_are_one_or_more(root: Path) -> None:
    """What was deleted just now could not be restored any more."""
    with pytest.raises(SystemExit) as ended:
        maintain.main(["--keep-deleted-days", "0"], root=root)
    assert ended.value.code == ExitCode.USAGE
