"""A refusal of the program reaches the script that ran Pulumi, with its exit code and sentence."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlflow_backend import ending
from mlflow_backend.contract import ExitCode, Refused
from mlflow_backend.settings import Problem, SettingsError

if TYPE_CHECKING:
    from pathlib import Path

REFUSED = Refused("The revision 41 is gone.", code="of-a-test", fix="Choose another.")
MISTAKEN = SettingsError([Problem(path="server", finding="is a list", rule="it must be a mapping", fix="Fix it.")])


@pytest.mark.parametrize(("error", "code"), [(REFUSED, ExitCode.REFUSED), (MISTAKEN, ExitCode.USAGE)])
def test_what_the_program_decided_is_what_the_script_reads(
    tmp_path: Path, error: Refused | SettingsError, code: ExitCode
) -> None:
    """Pulumi's one exit code for all failures does not hide why."""
    note = tmp_path / "ending.json"
    ending.record(error.exit_code, str(error), {ending.VARIABLE: str(note)})
    assert ending.read(note) == ending.Ending(exit_code=code, sentence=str(error))


def test_without_a_script_nothing_is_written(tmp_path: Path) -> None:
    """`pulumi up` typed by hand leaves no file behind."""
    ending.record(REFUSED.exit_code, str(REFUSED), {})
    assert not list(tmp_path.iterdir())


def test_a_program_that_decided_nothing_has_no_ending(tmp_path: Path) -> None:
    """A crash is not mistaken for a refusal."""
    (tmp_path / "empty").touch()
    assert ending.read(tmp_path / "empty") is None
    assert ending.read(tmp_path / "missing") is None
