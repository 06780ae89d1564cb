"""Settings -> the backend of the chosen target, verified -> outputs. Nothing else."""

from __future__ import annotations

import atexit
import gc
from pathlib import Path
from typing import TYPE_CHECKING

import pulumi

from mlflow_backend import ending, offered
from mlflow_backend.contract import Refused, refuse_unbuilt
from mlflow_backend.local.state import LocalFailure
from mlflow_backend.releases.stores import StoreError
from mlflow_backend.settings import from_pulumi
from mlflow_backend.vulnerabilities import refuse_vulnerable

if TYPE_CHECKING:
    from mlflow_backend.contract import BackendOutputs
    from mlflow_backend.settings import Settings


def main() -> None:
    """Build the backend that the stack's settings describe."""
    # The program lives for seconds. The collector would spend one of them on walking over what imports define, a
    # second time when the interpreter ends (docs/benchmarks.md).
    gc.disable()
    atexit.register(gc.freeze)
    settings = from_pulumi(pulumi.Config())
    refuse_unbuilt(settings.target)
    for warning in refuse_vulnerable(settings):
        pulumi.warn(warning)
    for name, value in build(settings).exports().items():
        pulumi.export(name, value)


def build(settings: Settings) -> BackendOutputs:
    """Build the backend of the settings' target; only that target's modules are imported.

    pulumi_aws alone takes seconds to import, which a stack on this machine need not wait for.
    """
    if settings.target == "ecs":
        from mlflow_backend.ecs import program  # noqa: PLC0415

        return program.build(settings).outputs()
    from mlflow_backend.local.backend import LocalBackend  # noqa: PLC0415

    folder = Path.cwd() / ".backend" / pulumi.get_stack()
    return LocalBackend("mlflow", settings=settings, folder=folder).outputs()


try:
    main()
except (LocalFailure, StoreError) as error:
    raise pulumi.RunError(offered.typed(str(error), pulumi.get_stack())) from None
except Refused as error:
    said = offered.typed(str(error), pulumi.get_stack())
    ending.record(error.exit_code, said)
    # A RunError is shown as its message alone; a traceback would bury the sentence that says what to change.
    raise pulumi.RunError(said) from None
