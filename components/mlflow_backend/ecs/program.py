"""What `__main__` calls for this target: from settings to the backend, held to what its ledger says."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi

from mlflow_backend.aws import clients, plugin
from mlflow_backend.aws.foundation import aws_provider
from mlflow_backend.aws.render.database import protected
from mlflow_backend.ecs import holding
from mlflow_backend.ecs.backend import EcsBackend
from mlflow_backend.ecs.protection import Protection
from mlflow_backend.ecs.refusals import naming_of
from mlflow_backend.ecs.render import tasks

if TYPE_CHECKING:
    from mlflow_backend.settings import Settings


def build(settings: Settings, *, project: str, stack: str) -> EcsBackend:
    """Build the backend of a stack.

    Raises Refused for settings that this target cannot fulfil or that disagree with the ledger, and where Pulumi's
    plugin cannot be had; PlatformFailed where the ledger cannot be read.
    """
    naming = naming_of(settings, project=project, stack=stack)
    plugin.require()
    ledger = holding.read(settings, naming, clients.connections(naming.region).store)
    identity = tasks.release_identity(settings, naming)
    found = holding.held(settings, identity, ledger)
    if found is not None and found.withheld:
        pulumi.log.warn(f"The release of the settings is withheld: {found.withheld}.")
    backend = EcsBackend(
        "mlflow",
        settings=settings,
        naming=naming,
        held=found,
        migrated=holding.migrates(settings, identity, ledger),
        opts=pulumi.ResourceOptions(providers=[aws_provider("aws", settings, naming)]),
    )
    Protection("mlflow", backend=backend, protect=protected(settings))
    return backend
