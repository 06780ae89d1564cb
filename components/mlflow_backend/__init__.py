"""An MLflow backend that a team can trust: components for Pulumi programs, and the commands around them.

The names below are for other programs. Each is imported when it is first used, because one target's platform takes
seconds to import and the others need none of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow_backend.local.backend import LocalBackend, LocalBackendArgs
    from mlflow_backend.settings import Settings
    from mlflow_backend.verification.provider import Verification, VerificationArgs

_MODULES = {
    "LocalBackend": "mlflow_backend.local.backend",
    "LocalBackendArgs": "mlflow_backend.local.backend",
    "Settings": "mlflow_backend.settings",
    "Verification": "mlflow_backend.verification.provider",
    "VerificationArgs": "mlflow_backend.verification.provider",
}

__all__ = ["LocalBackend", "LocalBackendArgs", "Settings", "Verification", "VerificationArgs"]


def __getattr__(name: str) -> Any:
    """Import a public name on its first use."""
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_MODULES[name]), name)
