"""The Postgres instance as one component, or an adopted one as an address. Owns the wiring only."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi
import pulumi_aws as aws

from mlflow_backend.aws.render.database import (
    ADMIN_USER,
    ENGINE_VERSION,
    PARAMETER_FAMILY,
    database_address,
    database_plan,
    final_snapshot,
    removal_deadline,
)
from mlflow_backend.aws.render.network import DATABASE_PORT
from mlflow_backend.aws.render.secrets import SecretSource
from mlflow_backend.tokens import AWS_DATABASE

if TYPE_CHECKING:
    from mlflow_backend.aws.existing import ExistingDatabase
    from mlflow_backend.aws.scope import Placement, Scope


class Database(pulumi.ComponentResource):
    """Where the database is.

    Attributes: `host`, `port`, `address` as servers take it, and `identity` (another one is another database). Of an
    adopted one `secret`, the password of its user; of a created one `instance` and `admin_secret`, the ARN of the
    secret of its master user; None for the other kind.
    """

    def __init__(
        self,
        name: str,
        scope: Scope,
        placement: Placement,
        *,
        existing: ExistingDatabase | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Take where it is; with `existing` none is made."""
        super().__init__(AWS_DATABASE, name, None, opts)
        self.secret: pulumi.Output[SecretSource] | None = None
        self.admin_secret: pulumi.Output[str] | None = None
        self.instance: aws.rds.Instance | None = None
        if existing is not None:
            self.host, self.port = pulumi.Output.from_input(existing.host), existing.port
            self.secret = pulumi.Output.from_input(existing.secret).apply(
                lambda arn: SecretSource(arn=arn, key="password")
            )
            self.identity = pulumi.Output.concat("postgresql://", existing.host, f":{existing.port}/{existing.name}")
        else:
            instance = self._create(name, scope, placement)
            self.instance = instance
            self.host, self.port = instance.address, DATABASE_PORT
            self.admin_secret = instance.master_user_secrets.apply(lambda found: str(found[0].secret_arn))
            self.identity = instance.resource_id
        port = self.port
        self.address = self.host.apply(lambda host: database_address(scope.settings, host, port))
        self.register_outputs({"host": self.host, "port": self.port})

    def _create(self, name: str, scope: Scope, placement: Placement) -> aws.rds.Instance:
        naming, key_arn = scope.naming, pulumi.Output.from_input(placement.key_arn)
        plan = database_plan(scope.settings)
        child = pulumi.ResourceOptions(parent=self)
        subnets = aws.rds.SubnetGroup(
            f"{name}-subnets", name=naming.database_group(), subnet_ids=placement.subnets, opts=child
        )
        parameters = aws.rds.ParameterGroup(
            f"{name}-parameters",
            name=naming.database_group(),
            family=PARAMETER_FAMILY,
            parameters=[
                aws.rds.ParameterGroupParameterArgs(
                    name=each.name,
                    value=each.value,
                    apply_method="pending-reboot" if each.static else "immediate",
                )
                for each in plan.parameters
            ],
            opts=child,
        )
        identifier = naming.database()
        return aws.rds.Instance(
            f"{name}-instance",
            identifier=identifier,
            engine="postgres",
            engine_version=ENGINE_VERSION,
            auto_minor_version_upgrade=True,
            instance_class=plan.instance_class,
            allocated_storage=plan.storage_gib,
            max_allocated_storage=plan.max_storage_gib,
            storage_type="gp3",
            storage_encrypted=True,
            kms_key_id=key_arn,
            multi_az=plan.multi_az,
            db_name=plan.name,
            port=plan.port,
            username=ADMIN_USER,
            manage_master_user_password=True,
            master_user_secret_kms_key_id=key_arn,
            db_subnet_group_name=subnets.name,
            parameter_group_name=parameters.name,
            vpc_security_group_ids=[placement.security_group],
            publicly_accessible=False,
            backup_retention_period=plan.retention_days,
            copy_tags_to_snapshot=True,
            delete_automated_backups=not plan.protect,
            deletion_protection=plan.protect,
            skip_final_snapshot=not plan.protect,
            final_snapshot_identifier=(
                key_arn.apply(lambda arn: final_snapshot(identifier, arn)) if plan.protect else None
            ),
            # The class and the storage are changed by somebody who is waiting for it.
            apply_immediately=True,
            opts=pulumi.ResourceOptions(
                parent=self,
                protect=plan.protect,
                custom_timeouts=pulumi.CustomTimeouts(delete=f"{removal_deadline(plan)}s"),
            ),
        )
