"""The registry of targets: the only place that knows their names, and the only one that chooses by them.

A target's module is imported when it is asked for: one platform's SDK takes seconds, and the others need none of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Final, cast

if TYPE_CHECKING:
    from mlflow_backend.target import Target

MODULES: Final[dict[str, str]] = {
    "ecs": "mlflow_backend.ecs.target",
    "local": "mlflow_backend.local.target",
}
"""Name of a target -> module with `TARGET`. A new target adds its line here."""


class UnknownTarget(Exception):
    """No target has this name. Says which there are."""

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no target {name or 'without a name'}. Known are: {', '.join(MODULES)}")


def get(name: str) -> Target:
    """Return a target by its name. Raises UnknownTarget."""
    if name not in MODULES:
        raise UnknownTarget(name)
    return cast("Target", importlib.import_module(MODULES[name]).TARGET)


def shared(name: str) -> bool:
    """Tell whether others than this machine reach the backends of a target; an unknown one is taken for such."""
    return name not in MODULES or not get(name).loopback
