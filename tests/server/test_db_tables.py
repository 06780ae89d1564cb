"""The committed tables are what the real wheels and a real Postgres say."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import pytest

from tests.server.environments import SOURCE, python
from tests.server.services import PROJECT

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.server.environments import Tool

TOOLS = PROJECT / "server" / "tools"
PACKAGE = SOURCE / "mlflow_backend_server"
NEWEST = "3.18.0"


def committed(name: str) -> Any:
    """Return a committed table."""
    return json.loads((PACKAGE / name).read_text())


def uv() -> str:
    """Return the project's uv."""
    return str(next(path for path in (PROJECT / ".venv/bin/uv", PROJECT / ".tools/uv/bin/uv") if path.exists()))


def test_three_releases_read_again_from_their_wheels_give_the_same_heads(tmp_path: Path) -> None:
    """The oldest, one in the middle and the newest; the newest also gives every revision."""
    versions = ["2.9.2", "3.4.0", NEWEST]
    output = tmp_path / "heads.json"
    command = [sys.executable, TOOLS / "schema_heads.py", "--uv", uv(), "--output", output, *versions]
    subprocess.run(command, check=True, timeout=300, env=os.environ)
    again, known = json.loads(output.read_text()), committed("schema_heads.json")
    assert again["versions"] == {version: known["versions"][version] for version in versions}
    assert again["revisions"] == known["revisions"]
    assert list(known["versions"])[-1] == NEWEST


def test_every_revision_replayed_on_postgres_gives_the_committed_classes(
    tool: Callable[..., Tool], tmp_path: Path
) -> None:
    """All migrations of the newest release run for real; what they executed gives the table as it is committed."""
    # The newest release's own dependencies cannot be installed: its migrations run among those of the release before.
    target = ["--target", tmp_path, "--python", sys.executable, f"mlflow=={NEWEST}"]
    subprocess.run([uv(), "pip", "install", "--quiet", "--no-deps", *target], check=True, timeout=300)
    recorder = tool("3.17.2", auth=True)
    recorded = subprocess.run(
        [python("3.17.2"), TOOLS / "record_revisions.py"],
        env={**recorder.variables(), "PYTHONPATH": f"{tmp_path}:{SOURCE}"},
        check=True,
        capture_output=True,
        timeout=300,
    )
    output = tmp_path / "classes.json"
    command = [sys.executable, TOOLS / "revision_classes.py", "--output", output]
    subprocess.run(command, input=recorded.stdout, check=True, timeout=60)
    assert json.loads(output.read_text()) == committed("revision_classes.json")


@pytest.mark.parametrize("chain", ["tracking", "auth"])
def test_every_known_revision_has_a_class(chain: str) -> None:
    """No revision of a known release falls back to 'never recorded'."""
    assert list(committed("revision_classes.json")[chain]) == committed("schema_heads.json")["revisions"][chain]
