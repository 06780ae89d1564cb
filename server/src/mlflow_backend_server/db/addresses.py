"""The databases that the tool works on, read from the same environment as the server beside it.

The URIs are SQLAlchemy's, as MLflow takes them; what they leave out (password, TLS) libpq reads from PGPASSWORD,
PGSSLMODE and PGSSLROOTCERT.
"""

from __future__ import annotations

import configparser
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, unquote, urlsplit

from mlflow_backend_server.db.verdicts import ExitCode, ToolError

if TYPE_CHECKING:
    from collections.abc import Mapping

TRACKING_VARIABLE = "MLFLOW_BACKEND_STORE_URI"
AUTH_VARIABLE = "MLFLOW_BACKEND_AUTH_DATABASE_URI"
AUTH_CONFIG_VARIABLE = "MLFLOW_AUTH_CONFIG_PATH"
ADMIN_USER_VARIABLE = "MLFLOW_BACKEND_ADMIN_USER"
ADMIN_PASSWORD_VARIABLE = "MLFLOW_BACKEND_ADMIN_PASSWORD"  # noqa: S105 - the name of a variable
#: Where one connects to make and rename other databases; every Postgres, managed ones too, has it.
MAINTENANCE_DATABASE = "postgres"
_SCHEMES = frozenset({"postgresql", "postgres", "postgresql+psycopg2", "postgresql+psycopg"})


@dataclass(frozen=True, kw_only=True)
class Address:
    """One Postgres database as libpq wants it: `parameters` are its connection keywords, secrets among them."""

    name: str
    parameters: Mapping[str, str] = field(repr=False)

    def renamed(self, name: str) -> Address:
        """Return the address of another database on the same server."""
        return replace(self, name=name)

    @property
    def server(self) -> tuple[str, str]:
        """Host and port, which two databases of one backend share."""
        return self.parameters.get("host", ""), self.parameters.get("port", "")

    def __str__(self) -> str:
        """Name the database without its credentials."""
        host, port = self.server
        return f"database '{self.name}' on {host or 'the local socket'}{':' + port if port else ''}"


@dataclass(frozen=True, kw_only=True)
class Databases:
    """The tracking database of a backend, and its basic-auth database if it has one.

    `administrator` is the server's maintenance database as the instance's administrator, if the environment names
    one: the application's role is then made by this tool, and may make no databases itself.
    """

    tracking: Address
    auth: Address | None
    administrator: Address | None = None

    @property
    def maintenance(self) -> Address:
        """The database to connect to for making and renaming databases, as whoever may do that."""
        return self.administrator or self.tracking.renamed(MAINTENANCE_DATABASE)

    def items(self) -> tuple[tuple[str, Address], ...]:
        """Chain name and address of each, tracking first: locks are always taken in this order."""
        auth = () if self.auth is None else (("auth", self.auth),)
        return (("tracking", self.tracking), *auth)


def from_environment(environment: Mapping[str, str]) -> Databases:
    """Return the databases that the environment names.

    Raises ToolError: USAGE if the tracking database or one half of the administrator is not named, UNSUPPORTED for
    anything but Postgres.
    """
    uri = environment.get(TRACKING_VARIABLE)
    if not uri:
        raise ToolError(
            ExitCode.USAGE,
            f"The environment does not name the tracking database: {TRACKING_VARIABLE} is not set.",
            "Set it as for the server: postgresql+psycopg2://user@host:port/name.",
        )
    tracking = parse(uri, source=TRACKING_VARIABLE)
    auth_uri = environment.get(AUTH_VARIABLE) or _uri_of_auth_config(environment.get(AUTH_CONFIG_VARIABLE))
    auth = parse(auth_uri, source="the basic-auth database's URI") if auth_uri else None
    if auth is not None and auth.server != tracking.server:
        raise ToolError(
            ExitCode.UNSUPPORTED,
            "The tracking and the basic-auth database are on different servers.",
            "Put them on one server: they are dumped, restored and switched together.",
        )
    if auth is not None and auth.name == tracking.name:
        raise ToolError(
            ExitCode.UNSUPPORTED,
            f"The {tracking} is named for tracking and for basic auth.",
            "Give MLflow's users a database of their own: each would be migrated by the other's chain.",
        )
    return Databases(tracking=tracking, auth=auth, administrator=_administrator(environment, tracking))


def _administrator(environment: Mapping[str, str], tracking: Address) -> Address | None:
    user, password = environment.get(ADMIN_USER_VARIABLE, ""), environment.get(ADMIN_PASSWORD_VARIABLE, "")
    if not user and not password:
        return None
    if not user or not password:
        missing = ADMIN_PASSWORD_VARIABLE if user else ADMIN_USER_VARIABLE
        raise ToolError(ExitCode.USAGE, f"{missing} is not set.", "Set both of the administrator, or neither.")
    parameters = {**tracking.parameters, "user": user, "password": password}
    return Address(name=MAINTENANCE_DATABASE, parameters=parameters)


def parse(uri: str, *, source: str) -> Address:
    """Return the address in a SQLAlchemy URI; `source` names it in errors, which never show the URI itself.

    Raises ToolError: UNSUPPORTED for another kind of database, USAGE for a URI without a database name.
    """
    scheme = uri.partition(":")[0]
    if scheme not in _SCHEMES:
        raise ToolError(
            ExitCode.UNSUPPORTED,
            f"{source} is not a Postgres URI (it begins with {scheme[:20]!r}).",
            "Use Postgres: postgresql+psycopg2://user@host:port/name.",
        )
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        parts, port = urlsplit(""), None
    name = unquote(parts.path.lstrip("/"))
    if not name:
        raise ToolError(
            ExitCode.USAGE,
            f"{source} names no database.",
            "Write it as postgresql+psycopg2://user@host:port/name, the user and name percent-encoded.",
        )
    found = {
        "host": unquote(parts.hostname or ""),
        "port": str(port or ""),
        "user": unquote(parts.username or ""),
        "password": unquote(parts.password or ""),
        **dict(parse_qsl(parts.query)),
    }
    return Address(name=name, parameters={key: value for key, value in found.items() if value})


def _uri_of_auth_config(path: str | None) -> str | None:
    if not path:
        return None
    # With interpolation, as MLflow reads it: a percent sign in the URI is written twice.
    config = configparser.ConfigParser()
    if not config.read(path):
        raise ToolError(
            ExitCode.USAGE,
            f"{AUTH_CONFIG_VARIABLE} names a file that cannot be read: {path}.",
            "Mount the basic-auth configuration there, or leave the variable out.",
        )
    return config.get("mlflow", "database_uri", fallback=None)
