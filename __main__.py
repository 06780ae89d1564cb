"""Settings -> the backend of the chosen target, verified -> outputs. Nothing else."""

from __future__ import annotations

import atexit
import gc
from pathlib import Path
from typing import TYPE_CHECKING

import pulumi

from components import commands, ending
from components.contract import Refused, refuse_unbuilt
from components.local.state import LocalFailure, StateDir
from components.releases.stores import StoreError
from components.settings import from_pulumi
from components.vulnerabilities import refuse_vulnerable

if TYPE_CHECKING:
    from components.contract import BackendOutputs
    from components.settings import Settings


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
        from components.ecs import program  # noqa: PLC0415

        return program.build(settings).outputs()
    from components.local.backend import LocalBackend  # noqa: PLC0415

    state = StateDir(Path(__file__).resolve().parent / ".backend" / pulumi.get_stack())
    return LocalBackend("mlflow", settings=settings, state=state).outputs()


try:
    main()
except (LocalFailure, StoreError) as error:
    raise pulumi.RunError(commands.typed(str(error), pulumi.get_stack())) from None
except Refused as error:
    said = commands.typed(str(error), pulumi.get_stack())
    ending.record(error.exit_code, said)
    # A RunError is shown as its message alone; a traceback would bury the sentence that says what to change.
    raise pulumi.RunError(said) from None
