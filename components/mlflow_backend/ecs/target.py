"""The target `ecs`: tasks on AWS Fargate, with RDS, ElastiCache, S3 and a load balancer."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.contract import PlatformFailed, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from mlflow_backend.ecs.backend import EcsBackend
    from mlflow_backend.ecs.platform import EcsPlatform
    from mlflow_backend.preflight.findings import Finding
    from mlflow_backend.report.policies import RenderedParts
    from mlflow_backend.report.quantities import Billing
    from mlflow_backend.settings import Settings

# Each method imports what it needs: pulumi_aws takes seconds, boto3 a third of one.
# ruff: noqa: PLC0415


class EcsTarget:
    """See target.Target."""

    name = "ecs"
    loopback = False
    platforms = frozenset({"aws"})

    def build(self, settings: Settings, *, project: str, stack: str, folder: Path) -> EcsBackend:
        """Register the backend."""
        del project, stack, folder
        from mlflow_backend.ecs.args import EcsBackendArgs
        from mlflow_backend.ecs.backend import EcsBackend

        return EcsBackend("mlflow", EcsBackendArgs.from_settings(settings))

    def locate(self, settings: Callable[[], Settings], *, project: str, stack: str, folder: Path) -> dict[str, str]:
        """Return what AWS has by the names that the settings give."""
        del folder
        from mlflow_backend.ecs.lookup import locate
        from mlflow_backend.ecs.refusals import naming_of

        known = settings()
        return locate(known, naming_of(known, project=project, stack=stack))

    def doctor(self, settings: Settings, *, project: str, stack: str, folder: Path) -> Sequence[Finding]:
        """Look at the account."""
        del folder
        from mlflow_backend.ecs.doctor.look import look
        from mlflow_backend.ecs.refusals import naming_of

        return look(settings, naming_of(settings, project=project, stack=stack))

    def rendered(self, settings: Settings, *, project: str, stack: str, image: str | None) -> RenderedParts:
        """Return task definitions and IAM documents."""
        from mlflow_backend.ecs.rendered import render

        return render(settings, project=project, stack=stack, image=image)

    def billing(self) -> Mapping[str, Billing]:
        """Return what AWS bills."""
        from mlflow_backend.ecs.rendered import BILLING

        return BILLING

    def rotate_keys(
        self, settings: Callable[[], Settings], *, project: str, stack: str, folder: Path, lost: bool
    ) -> str:
        """Draw new keys into another version of the stack's secret."""
        del folder
        from mlflow_backend.aws import secrets
        from mlflow_backend.aws.connection import Connection
        from mlflow_backend.ecs import holding
        from mlflow_backend.ecs.refusals import naming_of
        from mlflow_backend.releases.holds import refuse_rotation

        if lost:
            raise Refused(
                "Secrets Manager keeps the versions of the secret, so the keys are not lost.",
                code="keys-not-lost",
                fix="Restore the secret with `aws secretsmanager restore-secret`, and update.",
            )
        known = settings()
        naming = naming_of(known, project=project, stack=stack)
        refuse_rotation(holding.read(known, naming, Connection(naming.region).client("s3")).state)
        try:
            secrets.rotate_keys(Connection(naming.region), naming.secret("server"))
        except PlatformFailed as failure:
            raise Refused(
                str(failure), code="keys-not-rotated", fix="Deploy the stack with `pulumi up`, and repeat."
            ) from None
        return "New keys are drawn."

    def platform(self, locator: Mapping[str, str]) -> EcsPlatform:
        """Return the live side of a service."""
        from mlflow_backend.aws.clients import connections
        from mlflow_backend.aws.connection import Connection
        from mlflow_backend.ecs.platform import EcsPlatform

        return EcsPlatform(locator, connections(Connection.at(locator)))

    def secrets(self) -> Mapping[str, Callable[[str], tuple[str, str]]]:
        """Return Secrets Manager's."""
        from mlflow_backend.aws.secret_values import read

        return {"secretsmanager": read}


TARGET: Final = EcsTarget()
