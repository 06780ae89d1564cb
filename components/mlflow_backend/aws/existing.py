"""What a backend on AWS adopts instead of making it: each value may come from another component.

What shapes the plan is plain: the number of subnets, ports, the database's name. What is an Input is never measured or
compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from mlflow_backend.aws.render.network import CACHE_PORT, DATABASE_PORT

if TYPE_CHECKING:
    from collections.abc import Sequence

    import pulumi

    from mlflow_backend.settings import Settings

UNKNOWN_ARN = "arn:aws:unknown:::of-another-component"
"""Stands in settings for an ARN that another component gives."""
UNKNOWN_GROUP = "sg-0"


@dataclass(frozen=True, kw_only=True)
class ExistingNetwork:
    """A network. Tasks, database and cache are in `private_subnets`, an internet-facing balancer in the public ones."""

    vpc_id: pulumi.Input[str]
    private_subnets: Sequence[pulumi.Input[str]]
    public_subnets: Sequence[pulumi.Input[str]] = ()

    @classmethod
    def of(cls, settings: Settings) -> ExistingNetwork | None:
        """Return the network that settings adopt."""
        existing, named = settings.network.existing, settings.aws.network
        if existing is None:
            return None
        return cls(vpc_id=existing, private_subnets=named.private_subnets, public_subnets=named.public_subnets)

    def described(self, settings: Settings) -> Settings:
        """Return settings that adopt it."""
        subnets = {
            "private_subnets": [plain(each, "subnet-0") for each in self.private_subnets],
            "public_subnets": [plain(each, "subnet-0") for each in self.public_subnets],
        }
        return changed(settings, "network", {"existing": plain(self.vpc_id, "vpc")}, subnets)


@dataclass(frozen=True, kw_only=True)
class ExistingDatabase:
    """A Postgres database `name`. The JSON key `password` of `secret`, an ARN, is the server's user's."""

    host: pulumi.Input[str]
    name: str
    secret: pulumi.Input[str]
    security_group: pulumi.Input[str]
    port: int = DATABASE_PORT

    @classmethod
    def of(cls, settings: Settings) -> ExistingDatabase | None:
        """Return the database that settings adopt."""
        existing, named = settings.database.existing, settings.aws.database
        if existing is None:
            return None
        url = urlsplit(existing)
        return cls(
            host=str(url.hostname),
            name=url.path.rpartition("/")[2],
            secret=str(named.secret),
            security_group=str(named.security_group),
            port=url.port or DATABASE_PORT,
        )

    def described(self, settings: Settings) -> Settings:
        """Return settings that adopt it."""
        host = plain(self.host, "database.invalid")
        existing = {"existing": f"postgresql://{host}:{self.port}/{self.name}"}
        return changed(settings, "database", existing, _secured(self.secret, self.security_group))


@dataclass(frozen=True, kw_only=True)
class ExistingCache:
    """A Redis or Valkey. The JSON key `url` of `secret`, an ARN, is its whole URL, password included."""

    host: pulumi.Input[str]
    secret: pulumi.Input[str]
    security_group: pulumi.Input[str]
    port: int = CACHE_PORT
    tls: bool = True

    @classmethod
    def of(cls, settings: Settings) -> ExistingCache | None:
        """Return the cache that settings adopt."""
        existing, named = settings.cache.existing, settings.aws.cache
        if existing is None:
            return None
        url = urlsplit(existing)
        return cls(
            host=str(url.hostname),
            secret=str(named.secret),
            security_group=str(named.security_group),
            port=url.port or CACHE_PORT,
            tls=url.scheme == "rediss",
        )

    def described(self, settings: Settings) -> Settings:
        """Return settings that adopt it."""
        host = plain(self.host, "cache.invalid")
        existing = {"existing": f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}"}
        return changed(settings, "cache", existing, _secured(self.secret, self.security_group))


def plain(value: pulumi.Input[str], unknown: str) -> str:
    """Return a value that is known while the program runs, else `unknown`."""
    return value if isinstance(value, str) else unknown


def changed(settings: Settings, section: str, shared: dict[str, Any], aws: dict[str, Any]) -> Settings:
    """Return settings whose section adopts what `shared` names, with what AWS asks for besides."""
    own = getattr(settings, section).model_copy(update={"mode": "adopt", **shared})
    of_aws = getattr(settings.aws, section).model_copy(update=aws)
    return settings.model_copy(update={section: own, "aws": settings.aws.model_copy(update={section: of_aws})})


def _secured(secret: pulumi.Input[str], group: pulumi.Input[str]) -> dict[str, str]:
    return {"secret": plain(secret, UNKNOWN_ARN), "security_group": plain(group, UNKNOWN_GROUP)}
