"""The application's role and its databases, made by the instance's administrator if the environment names one.

A created cloud database comes with its administrator only. The server gets a role of its own that owns its databases
and may do nothing else: make no databases, no roles. Nothing is changed if that role can already log in to every
database as its owner, so a changed password reaches the role with the next command, and a second run does nothing.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import psycopg2
from psycopg2 import sql
from psycopg2.extensions import encrypt_password

from mlflow_backend_server.db import lock
from mlflow_backend_server.db.postgres import connected, tool_errors
from mlflow_backend_server.db.verdicts import ExitCode, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg2.extensions import connection as Connection

    from mlflow_backend_server.db.addresses import Address, Databases

_OWNER = "SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = %s"


def prepare(databases: Databases, *, wait_s: float, say: Callable[[str], None]) -> None:
    """Make what is missing of the role and the databases; nothing if no administrator is named.

    Raises ToolError: USAGE if the application's user or password is missing or the administrator's own, UNSUPPORTED
    if the role or a database belongs to somebody else, LOCKED, UNREACHABLE, WORTH_RETRYING or FAILED.
    """
    administrator, wanted = databases.administrator, [address for _, address in databases.items()]
    if administrator is None or all(map(_owned, wanted)):
        return
    with connected(administrator, purpose="prepare") as connection:
        with tool_errors("Waiting to prepare the databases"):
            lock.acquire(connection, wait_s=wait_s, say=say)
        for address in wanted:
            if not _owned(address):
                with tool_errors(f"Preparing {address}"):
                    _prepare(connection, address, administrator, say)


def _owned(address: Address) -> bool:
    """Return whether the application's role can log in to its database, and owns it."""
    try:
        with connected(address, purpose="prepare") as connection, connection.cursor() as cursor:
            cursor.execute(_OWNER, (address.name,))
            return cursor.fetchone() == (address.parameters.get("user"),)
    except (ToolError, psycopg2.Error):
        return False  # why not is found out as the administrator


def _prepare(connection: Connection, address: Address, administrator: Address, say: Callable[[str], None]) -> None:
    user, password = _credentials(address, administrator)
    _make_role(connection, user, password, say)
    with connection.cursor() as cursor:
        cursor.execute(_OWNER, (address.name,))
        row = cursor.fetchone()
        role, database = sql.Identifier(user), sql.Identifier(address.name)
        if row is None:
            cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(database, role))
            say(f"made {address}")
        elif row == (administrator.parameters["user"],):
            cursor.execute(sql.SQL("ALTER DATABASE {} OWNER TO {}").format(database, role))
            say(f"{address} belongs to '{user}' now")
        elif row != (user,):
            raise ToolError(
                ExitCode.UNSUPPORTED,
                f"{address} belongs to '{row[0]}', neither to the administrator nor to '{user}'.",
                "Give MLflow a database of its own, or change its owner by hand.",
            )


def _credentials(address: Address, administrator: Address) -> tuple[str, str]:
    user = address.parameters.get("user", "")
    password = address.parameters.get("password") or os.environ.get("PGPASSWORD", "")
    if not user or not password:
        what = "user in its URI" if not user else "password in PGPASSWORD"
        finding = f"{address} has no {what}, so its role cannot be made."
        raise ToolError(ExitCode.USAGE, finding, "Give both, or leave the administrator out.")
    if user == administrator.parameters["user"]:
        finding = f"The administrator '{user}' is also the user of {address}."
        raise ToolError(ExitCode.USAGE, finding, "Give the server a user of its own.")
    return user, password


def _make_role(connection: Connection, user: str, password: str, say: Callable[[str], None]) -> None:
    # Hashed here: a statement may end in the database's log, and the password must not.
    hashed = encrypt_password(password, user, connection, "scram-sha-256")
    role = sql.Identifier(user)
    with connection.cursor() as cursor:
        cursor.execute("SELECT rolsuper FROM pg_roles WHERE rolname = %s", (user,))
        row = cursor.fetchone()
        if row == (True,):
            finding = f"The role '{user}' is a superuser."
            raise ToolError(ExitCode.UNSUPPORTED, finding, "Give the server a user of its own.")
        verb = "CREATE" if row is None else "ALTER"
        rights = "LOGIN NOCREATEDB NOCREATEROLE PASSWORD"
        cursor.execute(sql.SQL(f"{verb} ROLE {{}} {rights} {{}}").format(role, sql.Literal(hashed)))
        # To give it a database, and to rename that in a restore, an administrator who is no superuser must be a member.
        cursor.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(role))
    say(f"{'made the role' if row is None else 'set the password of the role'} '{user}'")
