"""Runs `mlflow_backend.commands.preview`, with the provider's plugin installed that a stack on AWS needs."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from mlflow_backend.aws import plugin
from mlflow_backend.commands import preview
from mlflow_backend.contract import ExitCode
from scripts.ci import affected
from tools.bootstrap import provider
from tools.bootstrap.steps import StepFailedError


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns an exit code of `contract.ExitCode`."""
    options = preview.command_line().parse_args(arguments)
    try:
        bring_plugin(options.stack)
    except StepFailedError as error:
        print(error, file=sys.stderr)
        return ExitCode.PLATFORM_FAILED
    return preview.main(arguments)


def bring_plugin(stack: str) -> None:
    """Install the plugin before the engine starts, which would fetch it by itself and hold it to no checksum.

    Raises StepFailedError.
    """
    if affected.targets(Path.cwd()).get(stack) == "ecs" and not plugin.at_hand(plugin.version(), os.environ):
        provider.ensure(os.environ)


if __name__ == "__main__":
    sys.exit(main())
