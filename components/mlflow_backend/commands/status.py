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
from typing import TYPE_CHECKING

from mlflow_backend.commands import stacks
from mlflow_backend.commands.backup_verbs import newest_of
from mlflow_backend.commands.command import ended
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.releases import maintenance_record
from mlflow_backend.releases.overview import overview
from mlflow_backend.settings import SettingsError

if TYPE_CHECKING:
    from mlflow_backend.releases.stores import Store


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns an exit code of `contract.ExitCode`."""
    parser = argparse.ArgumentParser(prog="scripts/status.py", description=__doc__)
    stacks.add_choice(parser, default="local")
    options = parser.parse_args(arguments)
    return ended("status", partial(_show, options), options)


def _show(options: argparse.Namespace) -> int:
    deployed = stacks.opened(options, Path.cwd())
    lines, code = overview(deployed)
    print("\n".join([*lines, *_last_maintenance(deployed.store), *_newest_backup(options)]))
    return code


def _last_maintenance(store: Store) -> list[str]:
    """Return the line on the last maintenance by command; none if there was none."""
    try:
        words = maintenance_record.last(store)
    except PlatformFailed as failure:
        words = f"not known: {failure}"
    return [] if words is None else [f"maintenance by command {words}"]


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
