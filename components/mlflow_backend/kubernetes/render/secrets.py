"""The secrets of a backend by name, and in which Secret of its namespace each is. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.kubernetes.naming import SERVER
from mlflow_backend.kubernetes.render.pods import SecretKey
from mlflow_backend.server import keys
from mlflow_backend.server.access import ADMIN_PASSWORD, ADMIN_USER

if TYPE_CHECKING:
    from mlflow_backend.kubernetes.naming import Naming
    from mlflow_backend.settings import Settings

DATABASE_PASSWORD: Final = "database-password"  # noqa: S105 - the name of a secret
DATABASE_ADMIN_PASSWORD: Final = "database-admin-password"  # noqa: S105 - as above
CACHE_PASSWORD: Final = "cache-password"  # noqa: S105 - as above
CACHE_URL: Final = "cache-url"
ACCESS_KEY, SECRET_KEY = "access-key-id", "secret-access-key"
CA, CERTIFICATE, KEY = "ca.crt", "tls.crt", "tls.key"
ALWAYS: Final = ("flask-secret-key", ADMIN_USER, ADMIN_PASSWORD, *keys.NAMES)
"""What users and their data know a backend by; the others are between its own parts."""


def server_secret(settings: Settings, naming: Naming) -> str:
    """Return the name of the Secret with everything that the server needs."""
    return settings.kubernetes.secret or naming.part(SERVER)


def keys_of(settings: Settings) -> tuple[str, ...]:
    """Return the keys of the server's Secret: those of an adopted database or cache are in their own."""
    names = list(ALWAYS)
    if settings.database.mode == "create":
        names += [DATABASE_PASSWORD, DATABASE_ADMIN_PASSWORD, CA, CERTIFICATE, KEY]
    if settings.cache.mode == "create":
        names += [CACHE_PASSWORD, CACHE_URL]
    return tuple(names)


def given(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Return the Secrets of others that the server reads, with their keys."""
    wanted = settings.kubernetes
    host = (wanted.database.host_key,) if wanted.database.host_key else ()
    found: tuple[tuple[str | None, tuple[str, ...]], ...] = (
        (wanted.database.secret, ("password", *host)),
        (wanted.cache.secret, ("url",)),
        (wanted.artifacts.secret, (ACCESS_KEY, SECRET_KEY)),
    )
    return {secret: names for secret, names in found if secret is not None}


def of_backups(settings: Settings) -> dict[str, tuple[str, ...]]:
    """Return the Secret of others that backups read, with its keys."""
    wanted = settings.kubernetes.backup.secret
    return {} if wanted is None else {wanted: (ACCESS_KEY, SECRET_KEY)}


def sources(settings: Settings, naming: Naming) -> dict[str, SecretKey]:
    """Return where each secret of the server's description is, by the text of its template but for the cache's URL."""
    own, wanted = server_secret(settings, naming), settings.kubernetes
    found = {name: SecretKey(secret=own, key=name) for name in (*ALWAYS, DATABASE_PASSWORD)}
    if wanted.database.secret is not None:
        found[DATABASE_PASSWORD] = SecretKey(secret=wanted.database.secret, key="password")
    if wanted.artifacts.secret is not None:
        found |= {name: SecretKey(secret=wanted.artifacts.secret, key=name) for name in (ACCESS_KEY, SECRET_KEY)}
    return {f"{{{name}}}": source for name, source in found.items()}


def cache_source(settings: Settings, naming: Naming) -> SecretKey:
    """Return where the cache's whole URL is."""
    adopted = settings.kubernetes.cache.secret
    if adopted is not None:
        return SecretKey(secret=adopted, key="url")
    return SecretKey(secret=server_secret(settings, naming), key=CACHE_URL)
