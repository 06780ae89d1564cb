"""`reencrypt`: everything that MLflow stores encrypted is put under the keys in force, in one transaction.

What was written under a former key, or under MLflow's public passphrase, is read with that and encrypted anew. A
webhook's secret that no key can read was encrypted with one that its process drew and nobody kept: it is taken out and
the webhook disabled, for one such row makes every listing of webhooks fail. A gateway secret that no key can read is
left as it is: it harms no other. Run again, it does what is left to do.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlflow_backend_server import encryption
from mlflow_backend_server.db import lock
from mlflow_backend_server.db.postgres import connected, tool_errors
from mlflow_backend_server.db.verdicts import ExitCode, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg2.extensions import connection as Connection
    from psycopg2.extensions import cursor as Cursor

    from mlflow_backend_server.db.addresses import Address, Databases

_WEBHOOKS, _SECRETS = "webhooks", "secrets"
_FIX = "Run `make up` or `pulumi up`: it gives the stack keys of its own."


@dataclass(kw_only=True)
class Counted:
    """What became of the rows of one table: how many were in order, how many were encrypted anew, which are lost."""

    unchanged: int = 0
    reencrypted: int = 0
    lost: list[str] = field(default_factory=list)

    def document(self) -> dict[str, Any]:
        """Return it as the report holds it."""
        return {"unchanged": self.unchanged, "reencrypted": self.reencrypted, "lost": self.lost}


def ring_of_environment() -> encryption.Ring:
    """Return the keys that the environment names. Raises ToolError USAGE if it names none."""
    try:
        return encryption.ring(os.environ)
    except encryption.KeysError as error:
        raise ToolError(ExitCode.USAGE, str(error), _FIX) from None


def reencrypt(databases: Databases, *, wait_s: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Put all rows of the tracking database under the keys in force.

    Raises ToolError USAGE for an environment without keys, LOCKED, UNREACHABLE, WORTH_RETRYING or FAILED; nothing is
    changed then.
    """
    ring = ring_of_environment()
    with connected(databases.tracking, purpose="reencrypt") as connection:
        with tool_errors(f"Locking {databases.tracking}"):
            lock.acquire(connection, wait_s=wait_s, say=say)
        report = of_database(connection, databases.tracking, ring, say)
    return {**report, "exit_code": int(ExitCode.DONE)}


def of_database(
    connection: Connection, address: Address, ring: encryption.Ring, say: Callable[[str], None]
) -> dict[str, Any]:
    """Put all rows of one connected database under the keys in force, all or none."""
    work = {_WEBHOOKS: _webhooks, _SECRETS: _gateway_secrets}
    with tool_errors(f"Re-encrypting {address}"), connection.cursor() as cursor:
        cursor.execute("BEGIN")
        try:
            done = {name: each(cursor, ring) if _exists(cursor, name) else Counted() for name, each in work.items()}
        except BaseException:
            cursor.execute("ROLLBACK")
            raise
        cursor.execute("COMMIT")
    for name in done[_WEBHOOKS].lost:
        say(
            f"The secret of webhook {name} was encrypted with a key that nobody kept. It is taken out and the webhook "
            "is disabled: give it a secret again, and enable it."
        )
    for name in done[_SECRETS].lost:
        say(f"Gateway secret {name} was encrypted with a key that nobody kept: give it its value again.")
    return {name: counted.document() for name, counted in done.items()}


def _exists(cursor: Cursor, table: str) -> bool:
    cursor.execute("SELECT to_regclass(%s) IS NOT NULL", (f"{table}",))
    row = cursor.fetchone()
    return bool(row and row[0])


def _webhooks(cursor: Cursor, ring: encryption.Ring) -> Counted:
    counted = Counted()
    # Deleted ones too: MLflow only marks them.
    cursor.execute("SELECT webhook_id, name, secret FROM webhooks WHERE secret IS NOT NULL ORDER BY 1 FOR UPDATE")
    for identifier, name, secret in cursor.fetchall():
        found = next(((index, text) for index, text in _read(ring, secret) if text is not None), None)
        if found is None:
            cursor.execute(
                "UPDATE webhooks SET secret = NULL, status = 'DISABLED' WHERE webhook_id = %s", (identifier,)
            )
            counted.lost.append(f"{name} ({identifier})")
        elif found[0] == 0:
            counted.unchanged += 1
        else:
            anew = ring.webhook[0].encrypt(found[1]).decode()
            cursor.execute("UPDATE webhooks SET secret = %s WHERE webhook_id = %s", (anew, identifier))
            counted.reencrypted += 1
    return counted


def _read(ring: encryption.Ring, secret: str) -> list[tuple[int, bytes | None]]:
    return [(index, encryption.read_webhook(key, secret)) for index, key in enumerate(ring.webhook)]


def _gateway_secrets(cursor: Cursor, ring: encryption.Ring) -> Counted:
    counted, in_force = Counted(), ring.passphrases[0]
    cursor.execute("SELECT secret_id, secret_name, wrapped_dek, kek_version FROM secrets ORDER BY 1 FOR UPDATE")
    for identifier, name, wrapped, version in cursor.fetchall():
        found = next(
            ((each, key) for each in ring.passphrases if (key := each.unwrap(bytes(wrapped))) is not None), None
        )
        if found is None:
            counted.lost.append(f"{name} ({identifier})")
        elif found[0] == in_force and version == in_force.version:
            counted.unchanged += 1
        else:
            cursor.execute(
                "UPDATE secrets SET wrapped_dek = %s, kek_version = %s WHERE secret_id = %s",
                (in_force.wrap(found[1]), in_force.version, identifier),
            )
            counted.reencrypted += 1
    return counted
