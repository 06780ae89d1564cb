"""The Python environments of MLflow versions, shared with the local target, and programs run in them."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

from mlflow_backend.local.environment import install
from tests.server.services import POSTGRES_BIN, PROJECT

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SOURCE = PROJECT / "server" / "src"
TOOL_DEADLINE_S = 240


@cache
def python(version: str) -> Path:
    """Return the Python of an MLflow version's environment, installed first if it is missing."""
    return install(version).path / "bin" / "python"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """How one run of the database tool ended."""

    code: int
    report: dict[str, Any]
    words: str


@dataclass(frozen=True, kw_only=True)
class Tool:
    """The database tool under one MLflow version, with an environment that names its databases."""

    version: str
    environment: Mapping[str, str]

    def command(self, *arguments: str) -> list[str]:
        """Return the command line."""
        return [str(python(self.version)), "-m", "mlflow_backend_server.db", *arguments]

    def variables(self) -> dict[str, str]:
        """Return the process environment."""
        clean = {key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "PG", "AWS_"))}
        ours = {"PYTHONPATH": str(SOURCE), "PYTHONWARNINGS": "ignore", "MLFLOW_BACKEND_POSTGRES_BIN": str(POSTGRES_BIN)}
        return {**clean, **ours, **self.environment}

    def start(self, *arguments: str) -> subprocess.Popen[str]:
        """Start a command and leave it running."""
        return subprocess.Popen(
            self.command(*arguments),
            env=self.variables(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> Outcome:
        """Run a command to its end."""
        return finish(self.start(*arguments))


def finish(process: subprocess.Popen[str]) -> Outcome:
    """Wait for a started command; its standard output must be one JSON document."""
    output, words = process.communicate(timeout=TOOL_DEADLINE_S)
    print(words)
    return Outcome(code=process.returncode, report=json.loads(output), words=words)
