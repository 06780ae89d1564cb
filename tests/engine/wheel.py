"""Other people's programs: the wheel in an environment of its own, and the programs of examples/ in it."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final

from tests.engine.project import ROOT, Outcome, Project

if TYPE_CHECKING:
    from pathlib import Path

TIMEOUT_S: Final = 400
_UV: Final = ROOT / ".venv" / "bin" / "uv"


def install(folder: Path) -> Path:
    """Build the wheel, and install it with the versions that this project locks into an environment of its own."""
    pinned = ("--build-constraints", ROOT / "server" / "image" / "build.txt")
    _run(_UV, "build", "--quiet", "--wheel", *pinned, "--out-dir", folder / "dist", ROOT)
    (wheel,) = (folder / "dist").glob("*.whl")
    _run(_UV, "venv", "--quiet", "--python", ROOT / ".venv" / "bin" / "python", folder / "venv")
    into = ("--quiet", "--python", folder / "venv" / "bin" / "python")
    _run(_UV, "pip", "install", *into, "--constraint", ROOT / "requirements" / "runtime.txt", wheel)
    return folder / "venv"


def _run(*command: str | Path) -> None:
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=TIMEOUT_S, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr


class Example(Project):
    """One of the programs of examples/, copied to a folder without a checkout around it."""

    dropped: tuple[str, ...] = ("PULUMI_", "PYTHON")

    def __init__(self, folder: Path, example: str, environment: Path) -> None:
        """Make its stack; nothing is deployed."""
        super().__init__(folder, "mine", program=ROOT / "examples" / example, virtualenv=environment)
        self.init()

    def command(self, name: str, *arguments: str) -> Outcome:
        """Run one of the package's commands in the project."""
        return self.run(str(self.virtualenv / "bin" / "python"), "-m", f"mlflow_backend.commands.{name}", *arguments)
