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
    from mlflow_backend.aws.scope import Placement, Scope
    from mlflow_backend.aws.storage import Storage
    from mlflow_backend.ecs.args import EcsBackendArgs
    from mlflow_backend.ecs.backend import EcsBackend
    from mlflow_backend.local.backend import LocalBackend, LocalBackendArgs
    from mlflow_backend.settings import Settings
    from mlflow_backend.settings.aws import Aws as AwsSettings
    from mlflow_backend.settings.aws import AwsCache as AwsCacheSettings
    from mlflow_backend.settings.aws import AwsDatabase as AwsDatabaseSettings
    from mlflow_backend.settings.aws import AwsNetwork as AwsNetworkSettings
    from mlflow_backend.settings.models import Access as AccessSettings
    from mlflow_backend.settings.models import Artifacts as ArtifactsSettings
    from mlflow_backend.settings.models import Backup as BackupSettings
    from mlflow_backend.settings.models import Cache as CacheSettings
    from mlflow_backend.settings.models import Database as DatabaseSettings
    from mlflow_backend.settings.models import Maintain as MaintainSettings
    from mlflow_backend.settings.models import Migrate as MigrateSettings
    from mlflow_backend.settings.models import Monitoring as MonitoringSettings
    from mlflow_backend.settings.models import Network as NetworkSettings
    from mlflow_backend.settings.models import ReleaseSettings
    from mlflow_backend.settings.models import Scaling as ScalingSettings
    from mlflow_backend.settings.models import Server as ServerSettings
    from mlflow_backend.settings.models import Verify as VerifySettings
    from mlflow_backend.settings.policy import Policy as PolicySettings
    from mlflow_backend.verification.arguments import VerificationArgs
    from mlflow_backend.verification.provider import Verification

_NAMES = {
    "AccessSettings": "settings.models:Access",
    "ArtifactsSettings": "settings.models:Artifacts",
    "AwsCacheSettings": "settings.aws:AwsCache",
    "AwsDatabaseSettings": "settings.aws:AwsDatabase",
    "AwsNetworkSettings": "settings.aws:AwsNetwork",
    "AwsSettings": "settings.aws:Aws",
    "BackupSettings": "settings.models:Backup",
    "Balancer": "aws.balancer:Balancer",
    "Cache": "aws.cache:Cache",
    "CacheSettings": "settings.models:Cache",
    "Connection": "aws.connection:Connection",
    "Database": "aws.database:Database",
    "DatabaseSettings": "settings.models:Database",
    "EcsBackend": "ecs.backend:EcsBackend",
    "EcsBackendArgs": "ecs.args:EcsBackendArgs",
    "ExistingCache": "aws.existing:ExistingCache",
    "ExistingDatabase": "aws.existing:ExistingDatabase",
    "ExistingNetwork": "aws.existing:ExistingNetwork",
    "Identity": "aws.identity:Identity",
    "LocalBackend": "local.backend:LocalBackend",
    "LocalBackendArgs": "local.backend:LocalBackendArgs",
    "MigrateSettings": "settings.models:Migrate",
    "Monitoring": "aws.monitoring:Monitoring",
    "MaintainSettings": "settings.models:Maintain",
    "MonitoringSettings": "settings.models:Monitoring",
    "Network": "aws.network:Network",
    "NetworkSettings": "settings.models:Network",
    "Placement": "aws.scope:Placement",
    "PolicySettings": "settings.policy:Policy",
    "ReleaseSettings": "settings.models:ReleaseSettings",
    "ScalingSettings": "settings.models:Scaling",
    "Scope": "aws.scope:Scope",
    "ServerSettings": "settings.models:Server",
    "Settings": "settings:Settings",
    "Storage": "aws.storage:Storage",
    "Verification": "verification.provider:Verification",
    "VerificationArgs": "verification.arguments:VerificationArgs",
    "VerifySettings": "settings.models:Verify",
}
"""Public name -> module below this package, and name in it."""

__all__ = [
    "AccessSettings",
    "ArtifactsSettings",
    "AwsCacheSettings",
    "AwsDatabaseSettings",
    "AwsNetworkSettings",
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
    "MaintainSettings",
    "MigrateSettings",
    "Monitoring",
    "MonitoringSettings",
    "Network",
    "NetworkSettings",
    "Placement",
    "PolicySettings",
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
    if name not in _NAMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, _, own = _NAMES[name].partition(":")
    return getattr(importlib.import_module(f"{__name__}.{module}"), own)
