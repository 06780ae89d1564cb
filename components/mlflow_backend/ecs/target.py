"""The target `ecs`: tasks on AWS Fargate, with RDS, ElastiCache, S3 and a load balancer."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from mlflow_backend.hosted import HostedTarget

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.permissions import Grant, PulumiState, Purpose
    from mlflow_backend.ecs.backend import EcsBackend
    from mlflow_backend.ecs.locator import EcsLocator
    from mlflow_backend.ecs.platform import EcsPlatform
    from mlflow_backend.findings import Finding
    from mlflow_backend.releases.stores import Store
    from mlflow_backend.report.policies import RenderedParts
    from mlflow_backend.report.quantities import Billing
    from mlflow_backend.settings import Settings

# Each method imports what it needs: pulumi_aws takes seconds, boto3 a third of one.
# ruff: noqa: PLC0415


class EcsTarget(HostedTarget):
    """See target.Target."""

    name = "ecs"
    platforms = frozenset({"aws"})

    def unverified_between_updates(self, settings: Settings) -> str:
        """Return why no task can: it cannot call the balancer."""
        from mlflow_backend.ecs.refusals import out_of_reach

        return out_of_reach(settings)

    def build(self, settings: Settings, *, project: str, stack: str, folder: Path) -> EcsBackend:
        """Register the backend."""
        del project, stack, folder
        from mlflow_backend.ecs.args import EcsBackendArgs
        from mlflow_backend.ecs.backend import EcsBackend
        from mlflow_backend.ecs.refusals import refuse_unsupported

        # A stack's file says where the balancer is; the arguments of a program have a default for it.
        refuse_unsupported(settings)
        return EcsBackend("mlflow", EcsBackendArgs(settings=settings))

    def locate(self, settings: Callable[[], Settings], *, project: str, stack: str, folder: Path) -> EcsLocator:
        """Return what AWS has by the names that the settings give."""
        del folder
        from mlflow_backend.aws.connection import Connection
        from mlflow_backend.ecs.lookup import locate
        from mlflow_backend.ecs.refusals import naming_of

        known = settings()
        naming = naming_of(known, project=project, stack=stack)
        return locate(known, naming, Connection(naming.region))

    def doctor(self, settings: Settings, *, project: str, stack: str, folder: Path) -> Sequence[Finding]:
        """Look at the account."""
        del folder
        from mlflow_backend.ecs.args import EcsBackendArgs
        from mlflow_backend.ecs.doctor import check
        from mlflow_backend.ecs.refusals import naming_of

        return check(EcsBackendArgs(settings=settings), naming_of(settings, project=project, stack=stack))

    def rendered(self, settings: Settings, *, project: str, stack: str, image: str | None) -> RenderedParts:
        """Return task definitions and IAM documents."""
        from mlflow_backend.ecs.rendered import render

        return render(settings, project=project, stack=stack, image=image)

    def billing(self) -> Mapping[str, Billing]:
        """Return what AWS bills."""
        from mlflow_backend.ecs.rendered import BILLING

        return BILLING

    def grants(
        self, settings: Settings, *, project: str, stack: str, purpose: Purpose, state: PulumiState | None
    ) -> tuple[Naming, tuple[Grant, ...]]:
        """See aws.permissions.RolesOnAws."""
        from mlflow_backend.ecs.permissions import grants
        from mlflow_backend.ecs.refusals import naming_of

        naming = naming_of(settings, project=project, stack=stack)
        return naming, grants(settings, naming, purpose, state=state)

    @property
    def locator(self) -> type[EcsLocator]:
        """How its backends are found."""
        from mlflow_backend.ecs.locator import EcsLocator

        return EcsLocator

    def store_at(self, address: str) -> Store | None:
        """Return the store below a prefix of a bucket, read with the credentials of whoever runs the command.

        The backend's own connection stands in the locator, which is in this store: it cannot be known before.
        """
        from mlflow_backend.aws.render.policies import S3Root

        if not S3Root.is_address(address):
            return None
        from mlflow_backend.aws.connection import Connection
        from mlflow_backend.aws.store import S3Store

        # Any region will do: S3 sends whoever asks elsewhere on to the bucket's own.
        client = Connection(os.environ.get("AWS_REGION", "us-east-1")).client("s3")
        found = S3Root.at(address)
        return S3Store(client, bucket=found.bucket, root=found.root)

    def platform(self, locator: EcsLocator) -> EcsPlatform:
        """Return the live side of a service."""
        from mlflow_backend.aws.clients import connections
        from mlflow_backend.ecs.platform import EcsPlatform

        return EcsPlatform(locator, connections(locator.connection))


TARGET: Final = EcsTarget()
