"""The cache as one component, or an adopted one as an address. Owns the wiring only."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pulumi
import pulumi_aws as aws

from mlflow_backend.aws.provider import CacheToken
from mlflow_backend.aws.render.cache import PARAMETERS, cache_plan
from mlflow_backend.aws.render.network import CACHE_PORT
from mlflow_backend.aws.render.secrets import CACHE_TOKEN, SecretSource
from mlflow_backend.server import CacheAddress, cache_url
from mlflow_backend.tokens import AWS_CACHE

if TYPE_CHECKING:
    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.network import Network
    from mlflow_backend.settings import Settings


class Cache(pulumi.ComponentResource):
    """Where the cache is, and which secret holds its URL.

    Attributes: `host`, `port`, `secret`, and `group`, the replication group's identifier, None for an adopted cache.
    """

    def __init__(  # noqa: PLR0913 - what the cache lies in, by name
        self,
        name: str,
        *,
        settings: Settings,
        naming: Naming,
        network: Network,
        key_arn: pulumi.Input[str],
        recovery_days: int,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Take where it lies. `recovery_days` is how long its deleted secret can be brought back, 0 for not at all."""
        super().__init__(AWS_CACHE, name, None, opts)
        self._name, self._naming = name, naming
        self._child = pulumi.ResourceOptions(parent=self)
        self.group: str | None = None
        self.secret: pulumi.Output[SecretSource]
        existing = settings.cache.existing
        if existing is not None:
            url = urlsplit(existing)
            self.host = pulumi.Output.from_input(str(url.hostname))
            self.port = url.port or CACHE_PORT
            self.secret = pulumi.Output.from_input(SecretSource(arn=str(settings.aws.cache.secret), key="url"))
        else:
            token = CacheToken(f"{name}-token", opts=self._child)
            self._create(settings, network, key_arn, token)
            self.secret = self._keep(token, key_arn, recovery_days)
        self.register_outputs({"host": self.host, "port": self.port})

    def _create(self, settings: Settings, network: Network, key_arn: pulumi.Input[str], token: CacheToken) -> None:
        plan, naming, name = cache_plan(settings), self._naming, self._name
        subnets = aws.elasticache.SubnetGroup(
            f"{name}-subnets", name=naming.cache_group(), subnet_ids=network.data_subnets, opts=self._child
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
            security_group_ids=[network.groups["cache"]],
            transit_encryption_enabled=True,
            auth_token=token.value,
            # Without a strategy the provider sends none with a second token, and AWS refuses it.
            auth_token_update_strategy="ROTATE",  # noqa: S106 - the name of a strategy
            at_rest_encryption_enabled=True,
            kms_key_id=key_arn,
            snapshot_retention_limit=plan.snapshot_days,
            apply_immediately=True,
            opts=self._child,
        )
        self.host, self.port, self.group = group.primary_endpoint_address, plan.port, naming.cache()

    def _keep(self, token: CacheToken, key_arn: pulumi.Input[str], recovery_days: int) -> pulumi.Output[SecretSource]:
        """Put the whole URL into Secrets Manager: ECS hands over values as they are stored and composes none."""
        secret = aws.secretsmanager.Secret(
            f"{self._name}-url",
            name=self._naming.secret("cache"),
            description=f"Cache of {self._naming.cluster()}",
            kms_key_id=key_arn,
            recovery_window_in_days=recovery_days,
            opts=self._child,
        )
        port = self.port

        def document(found: list[str]) -> str:
            host, value = found
            address = CacheAddress(host=host, port=port, password=CACHE_TOKEN, tls=True)
            return json.dumps({"url": cache_url(address).resolve({CACHE_TOKEN: value}.__getitem__)})

        version = aws.secretsmanager.SecretVersion(
            f"{self._name}-url",
            secret_id=secret.id,
            secret_string=pulumi.Output.all(self.host, token.value).apply(document),
            opts=self._child,
        )
        return pulumi.Output.all(secret.arn, version.version_id).apply(
            lambda found: SecretSource(arn=found[0], key="url", version=found[1])
        )
