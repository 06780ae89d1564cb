"""A packed task as the server's image runs it: without this project's packages and what they depend on."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

# What the task may import is in the zip, in Python itself, or in MLflow's own environment.
_FORBID = """
import runpy, sys
class Forbidden:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"pyrage", "pulumi", "pydantic", "yaml", "rich", "psutil", "cronsim"}:
            raise ImportError(f"{name} is not in the server's image")
sys.meta_path.insert(0, Forbidden())
sys.path = [each for each in sys.path if not each.endswith("components")]
archive, sys.argv = sys.argv[1], sys.argv[1:]
runpy.run_path(archive, run_name="__main__")
"""


def run_packed(tool: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a packed task, whose stores are asked once and not again."""
    return subprocess.run(
        [sys.executable, "-c", _FORBID, str(tool), *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        env={"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_MAX_ATTEMPTS": "1", **environment},
    )
