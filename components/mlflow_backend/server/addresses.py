"""The addresses of a server's database, cache and artifact store, with secrets by name only."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote

if TYPE_CHECKING:
    from collections.abc import Callable

_REFERENCE = re.compile(r"\{([a-z][a-z0-9-]*)\}")


@dataclass(frozen=True, kw_only=True)
class SecretTemplate:
    """Text with `{name}` for the secret of that name, which is resolved only when the server starts.

    With `encode`, each secret is percent-encoded as one component of a URL.
    """

    text: str
    encode: bool = False

    def __post_init__(self) -> None:
        """Raise ValueError for a brace outside a well-formed reference: it would reach the server as it stands."""
        if set(_REFERENCE.sub("", self.text)) & {"{", "}"}:
            raise ValueError("a secret template holds a brace outside a {reference}")

    def references(self) -> tuple[str, ...]:
        """Return the names of the secrets that the text needs, in order, each once."""
        return tuple(dict.fromkeys(_REFERENCE.findall(self.text)))

    def resolve(self, lookup: Callable[[str], str]) -> str:
        """Return the text with each reference replaced by what `lookup` gives for its name, in one pass."""

        def value(match: re.Match[str]) -> str:
            secret = lookup(match[1])
            return quote(secret, safe="") if self.encode else secret

        return _REFERENCE.sub(value, self.text)


@dataclass(frozen=True, kw_only=True)
class DatabaseAddress:
    """A Postgres database. `password` is the name of a secret, `tls_ca` the path of the CA bundle that it must match.

    Without a bundle TLS is still required, unless the host is this machine.
    """

    host: str
    port: int
    name: str
    user: str
    password: str
    tls_ca: str | None = None


@dataclass(frozen=True, kw_only=True)
class CacheAddress:
    """A Redis or Valkey server. `password` is the name of a secret.

    `tls_ca` is the path of the certificates of an authority that signed this server's certificate and no other's: the
    name in it is then not compared with the host, which is an address.
    """

    host: str
    port: int
    password: str
    tls: bool = False
    tls_ca: str | None = None


@dataclass(frozen=True, kw_only=True)
class ArtifactStore:
    """The address of the artifacts, such as `s3://bucket/artifacts`.

    `access_key` and `secret_key` are names of secrets; without them the server uses its ambient role.
    """

    destination: str
    endpoint_url: str | None = None
    region: str | None = None
    access_key: str | None = None
    secret_key: str | None = None

    def __post_init__(self) -> None:
        """Raise ValueError for half a pair of keys."""
        if (self.access_key is None) != (self.secret_key is None):
            raise ValueError("an artifact store has both keys, or neither and an ambient role")


def database_uri(address: DatabaseAddress, *, password: str | None = None, database: str | None = None) -> str:
    """Return the SQLAlchemy URI of `address`, or of another `database` on the same server.

    It names the driver: under SQLAlchemy 2.1 plain `postgresql://` means psycopg 3, which is not installed. User and
    password are percent-encoded. Without `password` libpq takes it from PGPASSWORD, which is how servers get it: MLflow
    passes its URI on to child processes and prints it in errors. Raises ValueError for a database name that would need
    encoding, because SQLAlchemy 2.0 does not decode it.
    """
    user = quote(address.user, safe="")
    login = user if password is None else f"{user}:{quote(password, safe='')}"
    name = address.name if database is None else database
    if not name or quote(name, safe="") != name:
        raise ValueError("the name of a database may have ASCII letters, digits, '_', '-', '.' and '~' only")
    return f"postgresql+psycopg2://{login}@{_host_in_url(address.host)}:{address.port}/{name}"


def cache_url(address: CacheAddress) -> SecretTemplate:
    """Return the URL of `address`, its password by reference."""
    scheme = "rediss" if address.tls else "redis"
    endpoint = f"{_host_in_url(address.host)}:{address.port}/0"
    query = "" if address.tls_ca is None else f"?ssl_ca_certs={quote(address.tls_ca)}&ssl_check_hostname=false"
    return SecretTemplate(text=f"{scheme}://:{{{address.password}}}@{endpoint}{query}", encode=True)


def _host_in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host
