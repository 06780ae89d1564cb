"""The cache as one component, or an adopted one as an address. Owns the wiring only."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_aws as aws

from mlflow_backend.aws.provider import CacheToken
from mlflow_backend.aws.render.cache import PARAMETERS, cache_address, cache_plan
from mlflow_backend.aws.render.secrets import CACHE_TOKEN, SecretSource
from mlflow_backend.server import cache_url
from mlflow_backend.tokens import AWS_CACHE

if TYPE_CHECKING:
    from mlflow_backend.aws.existing import ExistingCache
    from mlflow_backend.aws.scope import Placement, Scope


class Cache(pulumi.ComponentResource):
    """Where the cache is, and which secret holds its URL.

    Attributes: `host`, `port`, `address` as servers take it, `secret`, and `group`, the replication group, None for an
    adopted cache.
    """

    def __init__(
        self,
        name: str,
        scope: Scope,
        placement: Placement,
        *,
        existing: ExistingCache | None = None,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Take where it is; with `existing` none is made."""
        super().__init__(AWS_CACHE, name, None, opts)
        self._name, self._scope, self._naming, self._placement = name, scope, scope.naming, placement
        self._child = pulumi.ResourceOptions(parent=self)
        self.group: aws.elasticache.ReplicationGroup | None = None
        self.secret: pulumi.Output[SecretSource]
        if existing is not None:
            self._reach(pulumi.Output.from_input(existing.host), existing.port)
            self.secret = pulumi.Output.from_input(existing.secret).apply(lambda arn: SecretSource(arn=arn, key="url"))
        else:
            token = CacheToken(f"{name}-token", opts=self._child)
            self._create(token)
            self.secret = self._keep(token)
        self.register_outputs({"host": self.host, "port": self.port})

    def _reach(self, host: pulumi.Output[str], port: int) -> None:
        settings = self._scope.settings
        self.host, self.port = host, port
        self.address = host.apply(lambda found: cache_address(settings, found, port))

    def _create(self, token: CacheToken) -> None:
        plan, naming, name, placement = cache_plan(self._scope.settings), self._naming, self._name, self._placement
        subnets = aws.elasticache.SubnetGroup(
            f"{name}-subnets", name=naming.cache_group(), subnet_ids=placement.subnets, opts=self._child
        )
        parameters = aws.elasticache.ParameterGroup(
            f"{name}-parameters",
            name=naming.cache_group(),
            family=plan.parameter_family,
            parameters=[
                aws.elasticache.ParameterGroupParameterArgs(name=key, value=value)
                for key, value in sorted(PARAMETERS.items())
            ],
            opts=self._child,
        )
        group = aws.elasticache.ReplicationGroup(
            f"{name}-group",
            replication_group_id=naming.cache(),
            description=f"Job queue and rate limits of {naming.cluster()}",
            engine=plan.engine,
            engine_version=plan.engine_version,
            # A version that AWS moved would be read back by a refresh, and the one above then be a downgrade, for which
            # the provider replaces the group: the queue would be lost.
            auto_minor_version_upgrade=False,
            node_type=plan.node_type,
            num_cache_clusters=plan.nodes,
            automatic_failover_enabled=plan.fails_over,
            multi_az_enabled=plan.fails_over,
            port=plan.port,
            parameter_group_name=parameters.name,
            subnet_group_name=subnets.name,
            security_group_ids=[placement.security_group],
            transit_encryption_enabled=True,
            auth_token=token.value,
            # Without a strategy the provider sends none with a second token, and AWS refuses it.
            auth_token_update_strategy="ROTATE",  # noqa: S106 - the name of a strategy
            at_rest_encryption_enabled=True,
            kms_key_id=self._placement.key_arn,
            snapshot_retention_limit=plan.snapshot_days,
            apply_immediately=True,
            opts=self._child,
        )
        self.group = group
        self._reach(group.primary_endpoint_address, plan.port)

    def _keep(self, token: CacheToken) -> pulumi.Output[SecretSource]:
        """Put the whole URL into Secrets Manager: ECS hands over values as they are stored and composes none."""
        secret = aws.secretsmanager.Secret(
            f"{self._name}-url",
            name=self._naming.secret("cache"),
            description=f"Cache of {self._naming.cluster()}",
            kms_key_id=self._placement.key_arn,
            recovery_window_in_days=self._scope.recovery_days,
            opts=self._child,
        )

        def document(found: list[Any]) -> str:
            address, value = found
            return json.dumps({"url": cache_url(address).resolve({CACHE_TOKEN: value}.__getitem__)})

        version = aws.secretsmanager.SecretVersion(
            f"{self._name}-url",
            secret_id=secret.id,
            secret_string=pulumi.Output.all(self.address, token.value).apply(document),
            opts=self._child,
        )
        return pulumi.Output.all(secret.arn, version.version_id).apply(
            lambda found: SecretSource(arn=found[0], key="url", version=found[1])
        )
