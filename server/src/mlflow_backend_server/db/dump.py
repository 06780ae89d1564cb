"""`dump`: both databases of a backend, streamed into an object store, with a manifest that is written last.

Each database is dumped from one exported snapshot, and what the manifest says about it (head, row counts, samples of
rows) is read in that same snapshot. The two databases have no common snapshot: they are dumped one right after the
other.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlflow_backend_server.db import clients
from mlflow_backend_server.db.chains import Chain, installed_package, installed_version, read_chains
from mlflow_backend_server.db.folder import READ_BYTES
from mlflow_backend_server.db.kept import STAMP
from mlflow_backend_server.db.majors import client_major, major, refuse_dump
from mlflow_backend_server.db.objects import Store, open_store, write_json
from mlflow_backend_server.db.postgres import connected, count_rows, server_version, tool_errors
from mlflow_backend_server.db.samples import sample_rows
from mlflow_backend_server.db.status import schema_position
from mlflow_backend_server.db.verdicts import ExitCode

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg2.extensions import connection as Connection

    from mlflow_backend_server.db.addresses import Address, Databases

MANIFEST = "manifest.json"
FORMAT = 1
#: Counted in the dump's snapshot and again after a restore. Small tables: counting metrics would take minutes.
COUNTED = frozenset({"experiments", "runs", "registered_models", "model_versions", "users"})


def dump(databases: Databases, destination: str, *, say: Callable[[str], None]) -> dict[str, Any]:
    """Dump all databases to a new folder under `destination`, an address of `open_store`, and return the manifest.

    Raises ToolError UNSUPPORTED, UNREACHABLE, WORTH_RETRYING or FAILED; the manifest then is not there, and what is
    cannot be taken for a dump.
    """
    identity = f"{datetime.now(UTC).strftime(STAMP)}-{secrets.token_hex(3)}"
    address = f"{destination.rstrip('/')}/{identity}"
    store = open_store(address)
    chains = read_chains(installed_package())
    client = client_major("pg_dump")
    entries = {}
    for name, database in databases.items():
        say(f"dumping {database} to {address}")
        entries[name] = _dump_one(database, chains[name], store, f"{name}.dump", client)
    manifest = {
        "format": FORMAT,
        "address": address,
        "made_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "mlflow_version": installed_version(),
        "databases": entries,
    }
    write_json(store, MANIFEST, manifest)
    return {**manifest, "exit_code": int(ExitCode.DONE)}


def _dump_one(database: Address, chain: Chain, store: Store, name: str, client: int) -> dict[str, Any]:
    with connected(database, purpose="dump") as connection, tool_errors(f"Dumping {database}"):
        version = server_version(connection)
        refuse_dump(server=major(version), client=client)
        snapshot = _export_snapshot(connection)
        found, where = schema_position(connection, chain)
        counts = count_rows(connection, COUNTED & found.tables)
        samples = sample_rows(connection, found.tables)
        digest, size = hashlib.sha256(), 0
        # The upload's block is the outer one: a pg_dump that fails at its end must still abort the upload.
        with store.writing(name) as write, clients.dumping(database, snapshot=snapshot) as output:
            while piece := output.read(READ_BYTES):
                digest.update(piece)
                size += len(piece)
                write(piece)
    return {
        "database": database.name,
        "object": name,
        "sha256": digest.hexdigest(),
        "bytes": size,
        "head": where.head,
        "row_counts": counts,
        "samples": samples,
        "postgres_version": version,
    }


def _export_snapshot(connection: Connection) -> str:
    connection.autocommit = False
    connection.set_session(isolation_level="REPEATABLE READ", readonly=True)
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_export_snapshot()")
        row = cursor.fetchone()
    return str(row[0]) if row else ""
