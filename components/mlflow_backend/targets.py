"""The registry of targets: nothing else knows their names, or chooses by them.

A target's module is imported when it is asked for: one platform's SDK takes seconds, and the others need none of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final, cast

from mlflow_backend.contract import UsageError

if TYPE_CHECKING:
    from mlflow_backend.target import Target

MODULES: Final[dict[str, str]] = {
    "cloudrun": "mlflow_backend.cloudrun.target",
    "ecs": "mlflow_backend.ecs.target",
    "eks": "mlflow_backend.eks.target",
    "kubernetes": "mlflow_backend.kubernetes.target",
    "local": "mlflow_backend.local.target",
}
"""Name of a target -> module with `TARGET`. A new target adds its line here."""


def get(name: str) -> Target:
    """Return a target by its name. Raises UsageError."""
    return cast("Target", importlib.import_module(MODULES[known(name)]).TARGET)


def known(name: str) -> str:
    """Return the name of a target. Raises UsageError for one that there is not."""
    if name not in MODULES:
        raise UsageError(
            f"There is no target {name or 'without a name'}.",
            code="target-unknown",
            fix=f"Known are: {', '.join(MODULES)}.",
        )
    return name


def shared(name: str) -> bool:
    """Return whether others than this machine reach the backends of a target; an unknown one is taken for such."""
    return name not in MODULES or not get(name).loopback
