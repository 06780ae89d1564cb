"""The way of the program's own verdict past Pulumi to the script that ran Pulumi.

Pulumi ends with one exit code for every failure of a program. So a script names a file in the environment, the
program writes its exit code and sentence there, and the script ends as the program meant to.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_backend.contract import ExitCode

if TYPE_CHECKING:
    from collections.abc import Mapping

VARIABLE = "MLFLOW_BACKEND_ENDING"


@dataclass(frozen=True, kw_only=True)
class Ending:
    """How the program ended by its own decision."""

    exit_code: ExitCode
    sentence: str


def record(exit_code: ExitCode, sentence: str, environment: Mapping[str, str] = os.environ) -> None:
    """Write how the program ends to the file that the calling script named; nothing if it named none."""
    if path := environment.get(VARIABLE):
        Path(path).write_text(json.dumps([int(exit_code), sentence]), encoding="utf-8")


def read(path: Path) -> Ending | None:
    """Return what the program wrote to `path`; None if it wrote nothing."""
    text = path.read_text(encoding="utf-8") if path.exists() else ""
    if not text:
        return None
    exit_code, sentence = json.loads(text)
    return Ending(exit_code=ExitCode(exit_code), sentence=sentence)
