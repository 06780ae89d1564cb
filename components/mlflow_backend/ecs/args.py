"""The arguments of a backend on ECS."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.aws.existing import UNKNOWN_ARN, ExistingCache, ExistingDatabase, ExistingNetwork, plain

if TYPE_CHECKING:
    import pulumi

    from mlflow_backend.aws.connection import Connection
    from mlflow_backend.settings import Settings

_UNKNOWN_ZONE: Final = "Z0"


@dataclass(frozen=True, kw_only=True)
class EcsBackendArgs:
    """A backend on ECS, from the settings of a stack's file or of a program, and what other components give.

    Left out, the connection is that of the environment, to the settings' region. Without a certificate the balancer has
    private addresses only, because it speaks plain HTTP. A network, database or cache that is given is adopted.
    `certificate` is the ARN of the public URL's, `hosted_zone` the Route 53 zone that gets its record.
    """

    settings: Settings
    connection: Connection | None = None
    existing_network: ExistingNetwork | None = None
    existing_database: ExistingDatabase | None = None
    existing_cache: ExistingCache | None = None
    certificate: pulumi.Input[str] | None = None
    hosted_zone: pulumi.Input[str] | None = None

    def complete(self) -> EcsBackendArgs:
        """Return them with settings that describe what is given, and with what the settings name as given.

        In the settings a name of its own stands for each value that is not known yet.
        """
        found = self.settings
        for each in (self.existing_network, self.existing_database, self.existing_cache):
            found = found if each is None else each.described(found)
        certificate = self.certificate or found.aws.network.certificate
        zone = self.hosted_zone or found.aws.network.hosted_zone
        network: dict[str, Any] = {
            "certificate": None if certificate is None else plain(certificate, UNKNOWN_ARN),
            "hosted_zone": None if zone is None else plain(zone, _UNKNOWN_ZONE),
        }
        if certificate is None and "internal" not in found.aws.network.model_fields_set:
            network["internal"] = True
        section: dict[str, Any] = {"network": found.aws.network.model_copy(update=network)}
        if self.connection is not None:
            section["region"] = self.connection.region
        return replace(
            self,
            settings=found.model_copy(update={"aws": found.aws.model_copy(update=section)}),
            existing_network=self.existing_network or ExistingNetwork.of(found),
            existing_database=self.existing_database or ExistingDatabase.of(found),
            existing_cache=self.existing_cache or ExistingCache.of(found),
            certificate=certificate,
            hosted_zone=zone,
        )
