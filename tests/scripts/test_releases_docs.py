"""The runbook knows every option of the commands that it tells of."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.commands import releases, rollback

if TYPE_CHECKING:
    import argparse

RUNBOOK = Path(__file__).resolve().parents[2] / "docs" / "runbooks" / "rollback.md"


@pytest.mark.parametrize("parser", [releases.parser(), rollback.parser()], ids=["releases", "rollback"])
def test_every_option_is_in_the_runbook(parser: argparse.ArgumentParser) -> None:
    """An option that nobody can read of is found during an incident by nobody."""
    text = RUNBOOK.read_text()
    options = {name for action in parser._actions for name in action.option_strings if name.startswith("--")}
    assert {name for name in options - {"--help"} if name not in text} == set()
