"""Programs that the project's own set-up installed: beside its interpreter, or inside a package."""

from __future__ import annotations

import importlib.util
import shutil
import sys
from pathlib import Path

from mlflow_backend.contract import PlatformFailed


def installed(command: str) -> Path:
    """Return the command's path.

    Raises PlatformFailed if the set-up did not run; a command of the same name elsewhere is never used.
    """
    found = shutil.which(command, path=str(Path(sys.executable).parent))
    if found is None:
        raise PlatformFailed(
            "it is not installed in this project's environment",
            code="command-not-installed",
            fix="Run `make setup`",
            part=command,
        )
    return Path(found)


def package(name: str) -> Path:
    """Return the folder of an installed package that brings programs.

    It is found, not imported: what such packages do when imported (wrappers, clients, warnings) is not used here, and
    each update would wait for it. Raises PlatformFailed if the set-up did not run.
    """
    found = importlib.util.find_spec(name)
    if found is None or found.origin is None:
        raise PlatformFailed(
            "it is not installed in this project's environment",
            code="tool-not-installed",
            fix="Run `make setup`",
            part=name,
        )
    return Path(found.origin).parent
