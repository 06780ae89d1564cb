"""The command for API keys: it says where a key is, and never the key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.commands import keys
from mlflow_backend.contract import ExitCode
from mlflow_backend.local import credentials
from mlflow_backend.local.state import StateDir

if TYPE_CHECKING:
    from pathlib import Path

    import pytest


def test_keys_are_listed_added_and_revoked_and_never_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What is printed names keys and files; their values are in the files only."""
    state = StateDir(tmp_path / ".backend" / "local")
    credentials.ensure(state)
    assert keys.main(["add", "trainer", "read"], root=tmp_path) == ExitCode.DONE
    assert keys.main(["list"], root=tmp_path) == ExitCode.DONE
    key = (state.credentials / "api-key-trainer").read_text()
    assert keys.main(["revoke", "trainer"], root=tmp_path) == ExitCode.DONE
    said = capsys.readouterr().out
    assert "trainer" in said
    assert str(state.credentials / "api-key-trainer") in said
    assert key not in said
    assert keys.main(["revoke", "trainer"], root=tmp_path) == ExitCode.REFUSED


def test_a_stack_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Nothing is made for a stack that was never deployed."""
    assert keys.main(["list"], root=tmp_path) == ExitCode.REFUSED
    assert list(tmp_path.iterdir()) == []
