"""The set-up as a whole: its steps in order, one set-up of a tree at a time."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

from tools.bootstrap import files, pulumi_cli, python_env, shell, stack
from tools.bootstrap.layout import find_layout
from tools.bootstrap.steps import StepFailedError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tools.bootstrap.layout import Layout


def main(arguments: Sequence[str]) -> int:
    """Set the tree up; 0, or 1 after one line that says which step failed, why and what to do."""
    parser = argparse.ArgumentParser(prog="tools.bootstrap", description=__doc__)
    parser.add_argument("--group", choices=python_env.GROUPS, default="runtime", help="the Python packages to install")
    parser.add_argument("--stack", default="local", help="the stack to make in the project's file backend")
    options = parser.parse_args(arguments)
    environment = dict(os.environ)
    layout = find_layout(environment)
    try:
        ensure(layout, options.group, options.stack, environment)
    except StepFailedError as failed:
        sys.stderr.write(f"set-up failed: {failed}\n")
        return 1
    return 0


def ensure(layout: Layout, group: str, stack_name: str, environment: Mapping[str, str]) -> None:
    """Do what is not done yet.

    Raises:
        StepFailedError: a step cannot be done.
    """
    with files.locked(layout.tools / "lock", step="tree"):
        python_env.ensure(layout, group, environment)
        pulumi_cli.ensure(layout, environment)
        shell.ensure(layout)
        stack.ensure(layout, stack_name, environment)
