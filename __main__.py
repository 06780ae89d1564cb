"""Settings -> the backend of the chosen target, verified -> outputs. Nothing else."""

from __future__ import annotations

from pathlib import Path

import pulumi

from components import ending
from components.contract import Refused, refuse_unbuilt
from components.local.backend import LocalBackend
from components.local.state import LocalFailure, StateDir
from components.releases.stores import StoreError
from components.settings import SettingsError, from_pulumi


def main() -> None:
    """Build the backend that the stack's settings describe."""
    settings = from_pulumi(pulumi.Config())
    refuse_unbuilt(settings.target)
    state = StateDir(Path(__file__).resolve().parent / ".backend" / pulumi.get_stack())
    backend = LocalBackend("mlflow", settings=settings, state=state)
    for name, value in backend.outputs().exports().items():
        pulumi.export(name, value)


try:
    main()
except (LocalFailure, StoreError) as error:
    raise pulumi.RunError(str(error)) from None
except (Refused, SettingsError) as error:
    ending.record(error)
    # A RunError is shown as its message alone; a traceback would bury the sentence that says what to change.
    raise pulumi.RunError(str(error)) from None
