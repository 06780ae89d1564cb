"""The identity of the database and the artifact store that this server works with, by which a backend is known again.

The database's identity is made here, at the first question of a server that never saw one. One that was seen and is
gone is not made again: its loss must show. The store's identity is one object below the artifacts, written by whoever
deploys, and only read here (ADR 26). With a database's identity goes its schema head as it is at the request.
"""

from __future__ import annotations

import json
import uuid
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import psycopg2

from mlflow_backend_server.db.identity import DEFINE, EXISTS, READ, TABLE
from mlflow_backend_server.db.postgres import look_by
from mlflow_backend_server.db.status import position_of
from mlflow_backend_server.health.database import session
from mlflow_backend_server.health.states import Away

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlflow_backend_server.db.addresses import Address, Databases
    from mlflow_backend_server.db.chains import Chain

    Ask = Callable[[str], list[tuple[Any, ...]]]

#: The object below the artifacts' destination. Requests that name it are refused by the request filter.
OBJECT = ".mlflow-backend-identity.json"
#: In the store's identity, instead of a database's: whichever database there is belongs to it.
ANY = "*"
_DEADLINE_S = 5.0
#: One maker at a time, over all servers of a database. The number is ours alone.
_LOCK = "SELECT pg_advisory_lock(5200520052)"


class Identities:
    """The identities of one server's databases and of its store."""

    def __init__(
        self,
        databases: Databases,
        stored: Callable[[], bytes | None],
        *,
        chains: Mapping[str, Chain] = MappingProxyType({}),
    ) -> None:
        """Take the databases, and what reads the store's object (None: it is not there). Nothing is asked yet.

        `chains` are those of the databases whose schema heads are read too.
        """
        self._databases, self._stored, self._chains = databases, stored, chains
        self._seen: set[str] = set()

    def document(self) -> dict[str, Any]:
        """Return the identity of each part, None for a part that has none. Raises Away."""
        store, tracking, auth = _store(self._stored()), self._databases.tracking, self._databases.auth
        found: dict[str, Any] = {"store": store, "database": self._of("database", "tracking", tracking, store)}
        if auth is not None:
            users = self._of("users", "auth", auth, None)
            found["users"] = users and {key: value for key, value in users.items() if key != "store"}
        return found

    def _of(
        self, part: str, chain: str, address: Address, store: dict[str, str] | None
    ) -> dict[str, str | None] | None:
        try:
            with session(address, deadline_s=_DEADLINE_S) as ask:
                found = self._asked(part, ask, store)
                if found is not None and chain in self._chains:
                    # As the database tool reads it: a newer MLflow may keep the version in another table than this one.
                    found["head"] = position_of(look_by(ask), self._chains[chain]).head
                return found
        except psycopg2.Error as error:
            cause = type(error).__name__
            raise Away(f"Postgres refuses to keep the identity of the database '{address.name}' ({cause}).") from None

    def _asked(self, part: str, ask: Ask, store: dict[str, str] | None) -> dict[str, str | None] | None:
        row = _row(ask)
        if row is None and part not in self._seen:
            ask(_LOCK)
            ask(f"{DEFINE} INSERT INTO {TABLE} (id) VALUES ('{uuid.uuid4()}') ON CONFLICT DO NOTHING; {READ}")  # noqa: S608 - ours
            row = _row(ask)
        if row is None:
            return None
        self._seen.add(part)
        own, bound = row
        if store is not None and store["database"] in {own, ANY} and store["id"] != bound:
            # The store says that it belongs to this database, so the database remembers it.
            ask(f"UPDATE {TABLE} SET store = '{store['id']}' RETURNING id")  # noqa: S608 - a checked UUID
            bound = store["id"]
        return {"id": own, "store": bound}


def _row(ask: Ask) -> tuple[str, str | None] | None:
    if ask(EXISTS) != [(True,)]:
        return None
    rows = ask(READ)
    return (rows[0][0], rows[0][1]) if rows else None


def _store(content: bytes | None) -> dict[str, str] | None:
    """Return the store's identity and that of its database, spelled as UUIDs are. Raises Away for anything else."""
    if content is None:
        return None
    try:
        document = json.loads(content)
        database = document["database"]
        return {
            "id": str(uuid.UUID(document["id"])),
            "database": ANY if database == ANY else str(uuid.UUID(database)),
        }
    except (ValueError, TypeError, KeyError, AttributeError):
        raise Away(f"The store's identity, the object {OBJECT}, is not what the deployment wrote.") from None
