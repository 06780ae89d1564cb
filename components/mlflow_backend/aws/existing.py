"""Stores and networks that a backend on AWS adopts: each value may come from another component.

What shapes the plan is plain: the number of subnets, ports, the database's name. What is an Input is never measured or
compared.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Self
from urllib.parse import urlsplit

from mlflow_backend.aws.render.network import CACHE_PORT, DATABASE_PORT

if TYPE_CHECKING:
    from collections.abc import Sequence
    from urllib.parse import SplitResult

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
class _ExistingServer:
    """A server that an address leads to. `secret` is the ARN of the secret that the backend logs in with."""

    section: ClassVar[str]

    host: pulumi.Input[str]
    secret: pulumi.Input[str]
    security_group: pulumi.Input[str]
    port: int

    @classmethod
    def of(cls, settings: Settings) -> Self | None:
        """Return the server that settings adopt."""
        existing, named = getattr(settings, cls.section).existing, getattr(settings.aws, cls.section)
        if existing is None:
            return None
        url = urlsplit(existing)
        given = cls._named_by(url) | ({"port": url.port} if url.port else {})
        return cls(host=str(url.hostname), secret=str(named.secret), security_group=str(named.security_group), **given)

    def described(self, settings: Settings) -> Settings:
        """Return settings that adopt it."""
        existing = self._url(plain(self.host, f"{self.section}.invalid"))
        secured = {
            "secret": plain(self.secret, UNKNOWN_ARN),
            "security_group": plain(self.security_group, UNKNOWN_GROUP),
        }
        return changed(settings, self.section, {"existing": existing}, secured)

    @classmethod
    def _named_by(cls, url: SplitResult) -> dict[str, Any]:
        """Return what a URL says besides host and port."""
        raise NotImplementedError

    def _url(self, host: str) -> str:
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class ExistingDatabase(_ExistingServer):
    """A Postgres database `name`. The JSON key `password` of `secret`, an ARN, is the server's user's."""

    section = "database"

    name: str
    port: int = DATABASE_PORT

    @classmethod
    def _named_by(cls, url: SplitResult) -> dict[str, Any]:
        return {"name": url.path.rpartition("/")[2]}

    def _url(self, host: str) -> str:
        return f"postgresql://{host}:{self.port}/{self.name}"


@dataclass(frozen=True, kw_only=True)
class ExistingCache(_ExistingServer):
    """A Redis or Valkey. The JSON key `url` of `secret`, an ARN, is its whole URL, password included."""

    section = "cache"

    port: int = CACHE_PORT
    tls: bool = True

    @classmethod
    def _named_by(cls, url: SplitResult) -> dict[str, Any]:
        return {"tls": url.scheme == "rediss"}

    def _url(self, host: str) -> str:
        return f"{'rediss' if self.tls else 'redis'}://{host}:{self.port}"


def plain(value: pulumi.Input[str], unknown: str) -> str:
    """Return a value that is known while the program runs, else `unknown`."""
    return value if isinstance(value, str) else unknown


def changed(settings: Settings, section: str, shared: dict[str, Any], aws: dict[str, Any]) -> Settings:
    """Return settings whose section adopts what `shared` names, with what AWS asks for besides."""
    own = getattr(settings, section).model_copy(update={"mode": "adopt", **shared})
    of_aws = getattr(settings.aws, section).model_copy(update=aws)
    return settings.model_copy(update={section: own, "aws": settings.aws.model_copy(update={section: of_aws})})
