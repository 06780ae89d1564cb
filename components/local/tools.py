"""Commands that the project's own set-up installed beside its interpreter."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from components.local.state import LocalFailure


def installed(command: str) -> Path:
    """Return the command's path.

    Raises LocalFailure where the set-up did not run; a command of the same name elsewhere is never used.
    """
    found = shutil.which(command, path=str(Path(sys.executable).parent))
    if found is None:
        raise LocalFailure(command, "it is not installed in this project's environment", "Run `make setup`")
    return Path(found)
