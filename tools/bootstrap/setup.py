"""The set-up as a whole: its steps in order, one set-up of a tree at a time."""

from __future__ import annotations

import argparse
import errno
import os
import sys
from typing import TYPE_CHECKING

from tools.bootstrap import files, pulumi_cli, python_env, shell, stack
from tools.bootstrap.layout import find_layout
from tools.bootstrap.steps import StepFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tools.bootstrap.layout import Layout


DEFAULT = "local"
"""The stack that is made if none is named."""


def main(arguments: Sequence[str]) -> int:
    """Set the tree up; 0, or 1 after one line that says which step failed, why and what to do."""
    parser = argparse.ArgumentParser(prog="tools.bootstrap", description=__doc__)
    parser.add_argument("--group", choices=python_env.GROUPS, default="runtime", help="the Python packages to install")
    parser.add_argument("--stack", help="the stack to make in the file backend (default: local)")
    options = parser.parse_args(arguments)
    try:
        environment = shell.without_overriding(os.environ)
        ensure(find_layout(environment), options.group, options.stack, environment)
    except StepFailedError as failed:
        sys.stderr.write(f"set-up failed: {failed}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"set-up failed: {refused(error)}\n")
        return 1
    return 0


def refused(error: OSError) -> StepFailedError:
    """Return what the system refused as a failed step: the file, why, and what helps."""
    fix = "make its folder writable for this user; XDG_CACHE_HOME names another cache than ~/.cache"
    if error.errno in {errno.ENOSPC, errno.EDQUOT}:
        fix = "free space on its disk; the tools, the caches and a backend need 4 GiB"
    elif error.errno in {errno.EISDIR, errno.ENOTDIR, errno.EEXIST, errno.ELOOP}:
        fix = "move away what has its name, then try again; XDG_CACHE_HOME names another cache than ~/.cache"
    return StepFailedError(what=str(error.filename or "writing a file"), why=error.strerror or str(error), fix=fix)


def ensure(layout: Layout, group: str, stack_name: str | None, environment: Mapping[str, str]) -> None:
    """Do what is not done yet.

    Raises:
        StepFailedError: a step cannot be done.
    """
    with files.locked(layout.tools / "lock", step="tree"):
        python_env.ensure(layout, group, environment)
        pulumi_cli.ensure(layout, environment)
        shell.ensure(layout)
        if stack_name or (layout.root / f"Pulumi.{DEFAULT}.yaml").exists():
            stack.ensure(layout, stack_name or DEFAULT, environment)
