"""Say what a stack needs before its first update, and for each missing thing the command that makes it.

It only reads. Lines begin with FAIL, SKIP (a question that was not answered) or PASS; below a failure, `$` stands
before the command. Exit codes: 0 nothing is known to be missing; 2 usage or settings; 3 something is missing.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_backend import targets
from mlflow_backend.commands.command import ended
from mlflow_backend.commands.stacks import Stack
from mlflow_backend.contract import ExitCode
from mlflow_backend.findings import documents, failures, table
from mlflow_backend.offered import typed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow_backend.findings import Finding


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns an exit code of `contract.ExitCode`."""
    parser = argparse.ArgumentParser(prog="scripts/doctor.py", description=__doc__)
    parser.add_argument("--stack", default="local", help="the stack (default: local)")
    parser.add_argument("--json", action="store_true", help="print the findings as JSON instead of lines")
    options = parser.parse_args(arguments)
    return ended("doctor", partial(_run, options.stack, as_json=options.json), options)


def _run(stack: str, *, as_json: bool) -> ExitCode:
    found = _findings(stack)
    text = json.dumps(documents(found), indent=2) if as_json else "\n".join(table(found))
    print(typed(text, stack))
    return ExitCode.REFUSED if failures(found) else ExitCode.DONE


def _findings(name: str) -> Sequence[Finding]:
    stack = Stack(name, Path.cwd())
    settings = stack.settings
    return targets.get(settings.target).doctor(settings, project=stack.project, stack=name, folder=stack.folder)


if __name__ == "__main__":
    sys.exit(main())
