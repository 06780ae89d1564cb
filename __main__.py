"""Settings -> the backend of the chosen target, verified -> outputs. Nothing else."""

from __future__ import annotations

import gc

# The program lives for seconds. The collector would spend one of them on walking over what imports define, a second
# time when the interpreter ends (docs/benchmarks.md).
gc.disable()

import atexit
from pathlib import Path

import pulumi

from mlflow_backend import ending, offered, targets
from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.settings import from_pulumi
from mlflow_backend.settings.vulnerable import refuse_vulnerable


def main() -> None:
    """Build the backend that the stack's settings describe."""
    atexit.register(gc.freeze)
    settings = from_pulumi(pulumi.Config(), stack=pulumi.get_stack())
    for warning in refuse_vulnerable(settings):
        pulumi.warn(warning)
    backend = targets.get(settings.target).build(
        settings, project=pulumi.get_project(), stack=pulumi.get_stack(), folder=Path.cwd() / ".backend"
    )
    for name, value in backend.outputs().exports().items():
        pulumi.export(name, value)


try:
    main()
except PlatformFailed as error:
    raise pulumi.RunError(offered.typed(str(error), pulumi.get_stack())) from None
except Refused as error:
    said = offered.typed(str(error), pulumi.get_stack())
    ending.record(error.exit_code, said)
    # A RunError is shown as its message alone; a traceback would bury the sentence that says what to change.
    raise pulumi.RunError(said) from None
