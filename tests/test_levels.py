"""Which tests `make test-unit` takes: those that start nothing, found by what they import."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests import levels
from tests.tools.projects import ROOT

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        ("import json\nfrom mlflow_backend.schema import decide\n", False),
        ("import subprocess\n", True),
        ("from http.server import HTTPServer\n", True),
        ("from http import server\n", True),
        ("from http import HTTPStatus\n", False),
        ("import pulumi\n", False),
        ("import pulumi.runtime\n", True),
        ("from pulumi import runtime\n", True),
        ("from pulumi.output import Unknown\n", False),
        ("import sys\nprint(sys.path)\n", False),
        ("import sys\nCOMMAND = (sys.executable, 'stand_in.py')\n", True),
        ("def test_late():\n    from moto import mock_aws\n", True),
    ],
)
def test_a_starter_is_found_wherever_it_is_imported(tmp_path: Path, text: str, *, starts: bool) -> None:
    """A test that could start something is never in the quick level."""
    path = tmp_path / "test_x.py"
    path.write_text(text)
    assert levels.starts_something(path) is starts


def test_a_helper_counts() -> None:
    """What a file of tests/ starts for a test, the test starts."""
    assert levels.starts_something(ROOT / "tests" / "components" / "verify" / "test_verify_outputs.py")
    assert not levels.starts_something(ROOT / "tests" / "components" / "releases" / "test_plan.py")


def test_what_the_quick_level_has() -> None:
    """What decides about users' data is in it."""
    for name in ("test_schema.py", "test_naming.py", "releases/test_plan.py", "releases/test_plan_cases.py"):
        assert not levels.starts_something(ROOT / "tests" / "components" / name)
