"""The secrets of a backend in Secret Manager: one for each value, and the version that a revision is given. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.report.quantities import MONTH, Billing, one
from mlflow_backend.server import keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.gcp.naming import Naming
    from mlflow_backend.settings import Settings

DATABASE_PASSWORD: Final = "database-password"  # noqa: S105 - the name of a secret
ADMIN_PASSWORD: Final = "database-admin-password"  # noqa: S105 - the name of a secret
DATABASE_CA: Final = "database-ca"
CACHE_URL: Final = "cache-url"
CACHE_CA: Final = "cache-ca"
CACHE_AUTH: Final = "cache-auth"
"""Where the cache's AUTH string goes in its URL. It is no secret of its own: Redis draws it, and MLflow takes URLs."""
API_KEYS: Final = "api-keys"
VERIFICATION_KEY: Final = "verification-api-key"
WAITING_KEYS: Final = "waiting-keys"
"""Holds encryption keys of a rotation that no update has put in force yet; no container is given it."""
BASIC: Final = ("admin-user", "admin-password", "flask-secret-key")
KEPT: Final = frozenset({*keys.NAMES, DATABASE_PASSWORD, ADMIN_PASSWORD})
"""What opens data that outlive the stack, if these are protected."""


@dataclass(frozen=True, kw_only=True)
class SecretVersion:
    """One version of a secret, `secret` by its name in the project or by `projects/PROJECT/secrets/NAME`.

    A revision is given a number and never `latest`: an instance that starts later would have another value than those
    that run beside it, and a revision that is gone back to would have another one than it was verified with.
    """

    secret: str
    version: str

    @classmethod
    def of(cls, name: str) -> SecretVersion:
        """Return the version that `projects/PROJECT/secrets/NAME/versions/NUMBER` names."""
        secret, _, version = name.partition("/versions/")
        return cls(secret=secret, version=version)


def names(settings: Settings) -> tuple[str, ...]:
    """Return the secrets that a stack makes."""
    return (
        *keys.NAMES,
        *([DATABASE_PASSWORD, ADMIN_PASSWORD, DATABASE_CA] if settings.database.mode == "create" else ()),
        *([CACHE_URL, CACHE_CA] if settings.cache.mode == "create" else ()),
        *(BASIC if settings.access.mode == "basic" else ()),
        *([API_KEYS, VERIFICATION_KEY] if settings.access.mode == "token" else ()),
    )


def secret_versions(settings: Settings, naming: Naming, versions: Mapping[str, str]) -> dict[str, SecretVersion]:
    """Return every secret that containers are given, at its version in `versions`; '' if it is not there.

    An adopted part's is the version that settings name.
    """
    own = {name: SecretVersion(secret=naming.secret(name), version=versions.get(name, "")) for name in names(settings)}
    database, cache = settings.gcp.database, settings.gcp.cache
    given = {
        DATABASE_PASSWORD: database.secret, DATABASE_CA: database.ca, CACHE_URL: cache.secret, CACHE_CA: cache.ca
    }  # fmt: skip
    return {**own, **{name: SecretVersion.of(value) for name, value in given.items() if value is not None}}


def secret(settings: Settings, naming: Naming) -> dict[str, Any]:
    """Return a secret without its value, kept in the backend's own region."""
    return {
        "labels": naming.labels(settings.tags),
        "replication": {"userManaged": {"replicas": [{"location": naming.region}]}},
    }


BILLING: Final[Mapping[str, Billing]] = {
    "gcp:secretmanager/secretVersion:SecretVersion": Billing(
        counted=one("gcp-secret-version", "Secret Manager version", "version", MONTH),
        by_use=("requests to Secret Manager",),
    ),
}
