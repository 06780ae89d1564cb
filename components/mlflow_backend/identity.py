"""The identity of a backend: of its database, its users' database and its artifact store, as one document each. Pure.

What the server says of itself is compared with what the ledger has recorded. If the ledger has recorded nothing,
database and store are compared with each other: each names the other (ADR 26).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

OBJECT: Final = ".mlflow-backend-identity.json"
"""The store's identity, an object below the artifacts: written by whoever deploys, and only read by the server."""
ANY: Final = "*"
"""In the store's identity, instead of a database's: whichever database there is belongs to it."""
NAMES: Final[Mapping[str, str]] = {
    "database": "the tracking database",
    "users": "the database of users",
    "store": "the artifact store",
}

Recorded = dict[str, str]
"""Part -> its identity."""


def recorded_of(live: Mapping[str, Any]) -> Recorded:
    """Return the identities to record of what a server said of itself: of each part that has one."""
    return {part: str(live[part]["id"]) for part in NAMES if live.get(part)}


def object_of(store: str, database: str) -> bytes:
    """Return the content of the store's object: its own identity, and that of the database that belongs to it."""
    return json.dumps({"id": store, "database": database}).encode()


def differences(live: Mapping[str, Any], recorded: Mapping[str, str]) -> list[str]:
    """Return what is not as it was, one clause a part, with both identities; nothing if the backend is known.

    `live` is what the server says. A part that it does not speak of (the users of a backend without any) is left out,
    and so is one that was never recorded: for these, database and store are compared with each other.
    """
    found = [
        f"{name} is {_shown(live[part])}, and the ledger knows it as {recorded[part]}"
        for part, name in NAMES.items()
        if part in live and part in recorded and (live[part] or {}).get("id") != recorded[part]
    ]
    return found if {"database", "store"} <= set(recorded) else found + _strangers(live)


def _strangers(live: Mapping[str, Any]) -> list[str]:
    """Return what of database and store does not belong together, as they themselves say."""
    database, store = live["database"], live["store"]
    if database is None:
        return [f"{NAMES['database']} has lost its identity while its server ran"]
    found = []
    if store is not None and store["database"] not in {database["id"], ANY}:
        found.append(
            f"{NAMES['store']} {store['id']} belongs to the database {store['database']}, not to {database['id']}"
        )
    if database["store"] is not None and (store is None or store["id"] != database["store"]):
        found.append(
            f"{NAMES['database']} belongs to the store {database['store']}, and {NAMES['store']} is {_shown(store)}"
        )
    return found


def _shown(part: Mapping[str, Any] | None) -> str:
    return "without identity (emptied or replaced)" if part is None else str(part["id"])
