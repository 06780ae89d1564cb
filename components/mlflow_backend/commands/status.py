"""Show what a stack runs and the last verdict on it.

The verdict is the report's, with its time: after a red update the stack's outputs still show the one before.

Exit codes: 0 all parts run and the last verdict is pass; 1 the last verdict is another; 2 usage; 3 the stack is
not deployed; 4 a part does not run; 5 the last verdict is inconclusive, or there is none.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from functools import partial
from pathlib import Path

from mlflow_backend.commands import stacks
from mlflow_backend.commands.backup_verbs import newest_of
from mlflow_backend.commands.command import ended
from mlflow_backend.releases.overview import overview
from mlflow_backend.settings import SettingsError


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns an exit code of `contract.ExitCode`."""
    parser = argparse.ArgumentParser(prog="scripts/status.py", description=__doc__)
    stacks.add_choice(parser, default="local")
    options = parser.parse_args(arguments)
    return ended("status", partial(_show, options), options)


def _show(options: argparse.Namespace) -> int:
    lines, code = overview(stacks.opened(options, Path.cwd()))
    print("\n".join([*lines, *_newest_backup(options)]))
    return code


def _newest_backup(options: argparse.Namespace) -> list[str]:
    """Return the line on the newest backup; none of a backend that has no stack's file, which names the destination."""
    if options.locator is not None:
        return []
    with contextlib.suppress(SettingsError):
        if (words := newest_of(stacks.Stack(options.stack, Path.cwd()))) is not None:
            return [f"newest backup {words}"]
    return []


if __name__ == "__main__":
    sys.exit(main())
