"""Dynamic resources on AWS: secrets that never pass through the state, and a log group that AWS may have made. Thin."""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar

import pulumi
from pulumi.dynamic import CreateResult, DiffResult, ReadResult, Resource, UpdateResult

from mlflow_backend.dynamic import Provider
from mlflow_backend.module_provider import ModuleProvider

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow_backend.aws.scope import Scope


class _SecretProvider(Provider):
    """One secret in Secrets Manager; `module` knows what it holds, and no value of it ever comes here."""

    module: ClassVar[str]

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Make the secret. Raises PlatformFailed."""
        outputs = self._holding().create(props)
        return CreateResult(id_=outputs["arn"], outs=outputs)

    def update(self, id_: str, _olds: dict[str, Any], news: dict[str, Any]) -> UpdateResult:
        """Put in what is missing or another one; what others have put there stays."""
        return UpdateResult(outs=self._holding().update(id_, news))

    def read(self, id_: str, props: dict[str, Any]) -> ReadResult:
        """Look at it; a secret that is gone is made anew by the next update."""
        found = self._holding().current(id_, props)
        return ReadResult(id_=id_ if found else "", outs=found or props)

    def diff(self, id_: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Compare what is asked for, and what is there as far as the module wants to know."""
        from mlflow_backend.aws import secrets  # noqa: PLC0415 (the provider process starts light)

        return DiffResult(
            changes=self._holding().changed(id_, olds, news),
            replaces=secrets.replacing(olds, news),
            delete_before_replace=True,
        )

    def delete(self, id_: str, props: dict[str, Any]) -> None:
        """Delete it; for that many days it can be brought back."""
        from mlflow_backend.aws import secrets  # noqa: PLC0415

        secrets.delete(id_, props)

    def _holding(self) -> Any:
        return importlib.import_module(self.module)


class ServerSecretsProvider(_SecretProvider):
    """All that the server needs, each value generated once, straight into Secrets Manager.

    A rotated password does not wait for a refresh: the version in force is looked at by each comparison.
    """

    module = "mlflow_backend.aws.secrets"


class CacheTokenProvider(Provider):
    """The cache's token: the one secret of this target that is in the state, encrypted there."""

    def create(self, props: dict[str, Any]) -> CreateResult:
        """Draw it, once."""
        from mlflow_backend.aws import secrets  # noqa: PLC0415

        return CreateResult(id_="token", outs={**props, "value": secrets.token()})

    def diff(self, _id: str, olds: dict[str, Any], news: dict[str, Any]) -> DiffResult:
        """Draw another one only if another generation is asked for."""
        changed = olds.get("generation") != news.get("generation")
        return DiffResult(changes=changed, replaces=["generation"] if changed else [])


class ApiKeysProvider(_SecretProvider):
    """The hashes of API keys: made with the verification's key among them, then its people's."""

    module = "mlflow_backend.aws.keys"


class InsightsLogsProvider(ModuleProvider):
    """The log group of Container Insights, which it may have made by itself."""

    module = "mlflow_backend.aws.insights"


@dataclass(frozen=True, kw_only=True)
class SecretArgs:
    """A secret of a backend: what it is called, and the key that encrypts it.

    With 0 `recovery_days` it is deleted for good.
    """

    scope: Scope
    part: str
    key_arn: pulumi.Input[str]
    recovery_days: int

    def inputs(self) -> dict[str, Any]:
        """Return what a resource is given."""
        return {
            "connection": self.scope.connection.document(),
            "secret": self.scope.naming.secret(self.part),
            "keyArn": self.key_arn,
            "recoveryDays": self.recovery_days,
            "tags": self.scope.tags,
            "arn": None,
        }


class ServerSecrets(Resource, module="mlflow-backend", name="AwsServerSecrets"):
    """Outputs: `arn`, and `version`, which changes with any of the values; never a value."""

    arn: pulumi.Output[str]
    version: pulumi.Output[str]

    def __init__(self, name: str, args: SecretArgs, *, names: Sequence[str], opts: pulumi.ResourceOptions) -> None:
        """Take the secret, and the names of the values that it holds."""
        super().__init__(ServerSecretsProvider(), name, {**args.inputs(), "names": list(names), "version": None}, opts)


class ApiKeys(Resource, module="mlflow-backend", name="AwsApiKeys"):
    """Outputs: `arn`."""

    arn: pulumi.Output[str]

    def __init__(self, name: str, args: SecretArgs, *, source: ServerSecrets, opts: pulumi.ResourceOptions) -> None:
        """Take the secret, and the one that holds the verification's key."""
        props = {**args.inputs(), "source": source.arn, "sourceVersion": source.version}
        super().__init__(ApiKeysProvider(), name, props, opts)


class CacheToken(Resource, module="mlflow-backend", name="AwsCacheToken"):
    """Outputs: `value`, a Pulumi secret."""

    value: pulumi.Output[str]

    def __init__(self, name: str, *, generation: int = 1, opts: pulumi.ResourceOptions) -> None:
        """Take which generation of the token it is; a higher one draws another."""
        secret = pulumi.ResourceOptions(additional_secret_outputs=["value"])
        props = {"generation": generation, "value": None}
        super().__init__(CacheTokenProvider(), name, props, pulumi.ResourceOptions.merge(opts, secret))


class InsightsLogs(Resource, module="mlflow-backend", name="AwsInsightsLogs"):
    """The log group of a cluster's Container Insights."""

    def __init__(self, name: str, scope: Scope, *, opts: pulumi.ResourceOptions) -> None:
        """Take the backend whose cluster it is."""
        naming = scope.naming
        props = {
            "connection": scope.connection.document(),
            "group": naming.insights_group(),
            "arn": naming.arn("logs", f"log-group:{naming.insights_group()}"),
            "retentionDays": scope.settings.aws.monitoring.log_retention_days,
            "tags": scope.tags,
        }
        super().__init__(InsightsLogsProvider(), name, props, opts)
