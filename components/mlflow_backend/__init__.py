"""An MLflow backend that a team can trust: components for Pulumi programs, and the commands around them.

The names below are for other programs. Each is imported when it is first used, because one target's platform takes
seconds to import and the others need none of it.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from mlflow_backend.aws.balancer import Balancer
    from mlflow_backend.aws.cache import Cache
    from mlflow_backend.aws.connection import Connection
    from mlflow_backend.aws.database import Database
    from mlflow_backend.aws.existing import ExistingCache, ExistingDatabase, ExistingNetwork
    from mlflow_backend.aws.identity import Identity
    from mlflow_backend.aws.monitoring import Monitoring
    from mlflow_backend.aws.network import Network
    from mlflow_backend.aws.scope import Scope
    from mlflow_backend.aws.storage import Storage
    from mlflow_backend.ecs.args import EcsBackendArgs
    from mlflow_backend.ecs.backend import EcsBackend
    from mlflow_backend.local.backend import LocalBackend, LocalBackendArgs
    from mlflow_backend.settings import Settings
    from mlflow_backend.settings.aws import Aws as AwsSettings
    from mlflow_backend.settings.models import Access as AccessSettings
    from mlflow_backend.settings.models import Artifacts as ArtifactsSettings
    from mlflow_backend.settings.models import Backup as BackupSettings
    from mlflow_backend.settings.models import Cache as CacheSettings
    from mlflow_backend.settings.models import Database as DatabaseSettings
    from mlflow_backend.settings.models import Migrate as MigrateSettings
    from mlflow_backend.settings.models import Monitoring as MonitoringSettings
    from mlflow_backend.settings.models import Network as NetworkSettings
    from mlflow_backend.settings.models import ReleaseSettings
    from mlflow_backend.settings.models import Scaling as ScalingSettings
    from mlflow_backend.settings.models import Server as ServerSettings
    from mlflow_backend.settings.models import Verify as VerifySettings
    from mlflow_backend.verification.provider import Verification, VerificationArgs

_MODULES = {
    "Balancer": "mlflow_backend.aws.balancer",
    "Cache": "mlflow_backend.aws.cache",
    "Connection": "mlflow_backend.aws.connection",
    "Database": "mlflow_backend.aws.database",
    "EcsBackend": "mlflow_backend.ecs.backend",
    "EcsBackendArgs": "mlflow_backend.ecs.args",
    "ExistingCache": "mlflow_backend.aws.existing",
    "ExistingDatabase": "mlflow_backend.aws.existing",
    "ExistingNetwork": "mlflow_backend.aws.existing",
    "Identity": "mlflow_backend.aws.identity",
    "LocalBackend": "mlflow_backend.local.backend",
    "LocalBackendArgs": "mlflow_backend.local.backend",
    "Monitoring": "mlflow_backend.aws.monitoring",
    "Network": "mlflow_backend.aws.network",
    "Scope": "mlflow_backend.aws.scope",
    "Settings": "mlflow_backend.settings",
    "Storage": "mlflow_backend.aws.storage",
    "Verification": "mlflow_backend.verification.provider",
    "VerificationArgs": "mlflow_backend.verification.provider",
}

_SECTIONS = {
    "AccessSettings": "Access",
    "ArtifactsSettings": "Artifacts",
    "BackupSettings": "Backup",
    "CacheSettings": "Cache",
    "DatabaseSettings": "Database",
    "MigrateSettings": "Migrate",
    "MonitoringSettings": "Monitoring",
    "NetworkSettings": "Network",
    "ScalingSettings": "Scaling",
    "ServerSettings": "Server",
    "VerifySettings": "Verify",
    "AwsSettings": "Aws",
}
"""Public name of a section of Settings -> its name among the models."""

__all__ = [
    "AccessSettings",
    "ArtifactsSettings",
    "AwsSettings",
    "BackupSettings",
    "Balancer",
    "Cache",
    "CacheSettings",
    "Connection",
    "Database",
    "DatabaseSettings",
    "EcsBackend",
    "EcsBackendArgs",
    "ExistingCache",
    "ExistingDatabase",
    "ExistingNetwork",
    "Identity",
    "LocalBackend",
    "LocalBackendArgs",
    "MigrateSettings",
    "Monitoring",
    "MonitoringSettings",
    "Network",
    "NetworkSettings",
    "ReleaseSettings",
    "ScalingSettings",
    "Scope",
    "ServerSettings",
    "Settings",
    "Storage",
    "Verification",
    "VerificationArgs",
    "VerifySettings",
]


def __getattr__(name: str) -> Any:
    """Import a public name on its first use."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = importlib.import_module(_MODULES.get(name, "mlflow_backend.settings.models"))
    return getattr(module, _SECTIONS.get(name, name))
