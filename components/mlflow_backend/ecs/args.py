"""The arguments of a backend on ECS."""

from __future__ import annotations

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.aws.connection import Connection
from mlflow_backend.aws.existing import UNKNOWN_ARN, ExistingCache, ExistingDatabase, ExistingNetwork, plain
from mlflow_backend.ecs.refusals import refuse_unsupported
from mlflow_backend.settings import Settings, models
from mlflow_backend.settings.aws import Aws
from mlflow_backend.settings.policy import Policy

if TYPE_CHECKING:
    import pulumi

_UNKNOWN_ZONE: Final = "Z0"


@dataclass(frozen=True, kw_only=True)
class EcsBackendArgs:
    """A backend on ECS: the sections of Settings, how AWS is reached, and what other components give.

    `account` is the only account that anything is made in. Users log in with MLflow's basic auth unless `access` says
    otherwise. Without a certificate the balancer has private addresses only, because it speaks plain HTTP. A network,
    database or cache that is given is adopted; otherwise one is made. `artifacts` adopts a bucket by its name in plain,
    because the ledger in it is read before anything is registered. `certificate` is the ARN of the public URL's,
    `hosted_zone` the Route 53 zone that gets its record.
    """

    connection: Connection
    account: str
    server: models.Server = field(default_factory=models.Server)
    database: models.Database = field(default_factory=models.Database)
    cache: models.Cache = field(default_factory=models.Cache)
    artifacts: models.Artifacts = field(default_factory=models.Artifacts)
    network: models.Network = field(default_factory=models.Network)
    access: models.Access = field(default_factory=lambda: models.Access(mode="basic"))
    scaling: models.Scaling = field(default_factory=models.Scaling)
    verify: models.Verify = field(default_factory=models.Verify)
    migrate: models.Migrate = field(default_factory=models.Migrate)
    release: models.ReleaseSettings = field(default_factory=models.ReleaseSettings)
    backup: models.Backup = field(default_factory=models.Backup)
    monitoring: models.Monitoring = field(default_factory=models.Monitoring)
    policy: Policy = field(default_factory=Policy)
    aws: Aws = field(default_factory=Aws)
    tags: dict[str, str] = field(default_factory=dict)
    existing_network: ExistingNetwork | None = None
    existing_database: ExistingDatabase | None = None
    existing_cache: ExistingCache | None = None
    certificate: pulumi.Input[str] | None = None
    hosted_zone: pulumi.Input[str] | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> EcsBackendArgs:
        """Return the arguments that a stack's settings describe. Raises Refused for what ECS cannot fulfil."""
        refuse_unsupported(settings)
        return cls(
            connection=Connection(str(settings.aws.region)),
            account=str(settings.aws.account),
            existing_network=ExistingNetwork.of(settings),
            existing_database=ExistingDatabase.of(settings),
            existing_cache=ExistingCache.of(settings),
            certificate=settings.aws.network.certificate,
            hosted_zone=settings.aws.network.hosted_zone,
            **{section: getattr(settings, section) for section in cls._sections()},
        )

    def settings(self) -> Settings:
        """Return the settings that shape the plan; a name of its own stands for each value that is not known yet."""
        sections = {section: getattr(self, section) for section in self._sections()}
        account = {"account": self.account, "region": self.connection.region}
        found = Settings(target="ecs", **{**sections, "aws": self.aws.model_copy(update=account)})
        for each in (self.existing_network, self.existing_database, self.existing_cache):
            found = found if each is None else each.described(found)
        named: dict[str, Any] = {}
        if self.certificate is None and "internal" not in self.aws.network.model_fields_set:
            named["internal"] = True
        if self.certificate is not None:
            named["certificate"] = plain(self.certificate, UNKNOWN_ARN)
        if self.hosted_zone is not None:
            named["hosted_zone"] = plain(self.hosted_zone, _UNKNOWN_ZONE)
        network = found.aws.network.model_copy(update=named)
        return found.model_copy(update={"aws": found.aws.model_copy(update={"network": network})})

    @classmethod
    def _sections(cls) -> list[str]:
        return [each.name for each in fields(cls) if each.name in Settings.model_fields]
