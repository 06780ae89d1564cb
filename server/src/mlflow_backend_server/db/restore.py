"""`restore`: a dump becomes new logical databases on the same server, checked, and switched in by rename.

URL and secret stay as they are, and the databases that were replaced are kept under other names (see `kept`). All
renames are one transaction: whenever this is killed, the backend has either all old databases or all restored ones.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg2 import sql

from mlflow_backend_server import encryption
from mlflow_backend_server.db import clients, lock, reencrypt
from mlflow_backend_server.db.chains import installed_package, installed_version, read_chains
from mlflow_backend_server.db.dump import FORMAT, MANIFEST
from mlflow_backend_server.db.identity import carry_over
from mlflow_backend_server.db.kept import drop, kept_databases, kept_name, next_stamp, restoring_name
from mlflow_backend_server.db.majors import client_major, major, refuse_restore
from mlflow_backend_server.db.objects import Store, open_store, read_json
from mlflow_backend_server.db.postgres import connected, count_rows, server_version, tool_errors
from mlflow_backend_server.db.samples import sample_rows
from mlflow_backend_server.db.status import schema_position
from mlflow_backend_server.db.switching import Swap, switch
from mlflow_backend_server.db.verdicts import ExitCode, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable

    from psycopg2.extensions import connection as Connection

    from mlflow_backend_server.db.addresses import Address, Databases


@dataclass(frozen=True, kw_only=True)
class _Plan:
    """One database to restore: what it replaces, under which names, and what the manifest says it must be."""

    name: str
    current: Address
    restored: Address
    kept: Address
    entry: dict[str, Any]


def restore(databases: Databases, source: str, *, wait_s: float, say: Callable[[str], None]) -> dict[str, Any]:
    """Restore the dump at `source` (the address in its manifest) over the backend's databases.

    Raises ToolError USAGE if the dump does not hold what the backend has, UNSUPPORTED if its Postgres or the
    client programs are newer than the server (see `majors`), LOCKED if another writer works,
    NOT_AT_HEAD if the restored database is not what the manifest says, UNREACHABLE, WORTH_RETRYING or FAILED. In
    each case the backend's databases are as they were.
    """
    store = open_store(source)
    manifest = read_json(store, MANIFEST)
    _refuse_unfit(databases, manifest, source)
    with ExitStack() as stack:
        admin = stack.enter_context(connected(databases.maintenance, purpose="restore"))
        dumped = [major(str(entry.get("postgres_version", ""))) for entry in manifest["databases"].values()]
        refuse_restore(dumped, server=major(server_version(admin)), client=client_major("pg_restore"))
        locks = stack.enter_context(ExitStack())
        lock.acquire_all(locks, databases, purpose="restore", wait_s=wait_s, say=say)
        with tool_errors("Looking for what earlier restores left"):
            plans = _plan(admin, databases, manifest)
        try:
            for plan in plans:
                _fill(admin, store, plan, say)
                _reencrypt(plan, say)
            # The guards are connections to the databases that are renamed now, which bears none.
            locks.close()
            swaps = [
                Swap(current=plan.current.name, incoming=plan.restored.name, aside=plan.kept.name) for plan in plans
            ]
            switch(admin, swaps, say)
        except BaseException:
            _discard(admin, plans)
            raise
    return {
        "mlflow_version": installed_version(),
        "source": source,
        "databases": {
            plan.name: {"database": plan.current.name, "head": plan.entry["head"], "kept": plan.kept.name}
            for plan in plans
        },
        "exit_code": int(ExitCode.DONE),
    }


def _refuse_unfit(databases: Databases, manifest: dict[str, Any], source: str) -> None:
    if manifest.get("format") != FORMAT:
        finding = f"{source} is a dump of format {manifest.get('format')!r}."
        raise ToolError(ExitCode.UNSUPPORTED, finding, f"This tool reads format {FORMAT}.")
    wanted = dict(databases.items())
    if set(wanted) != set(manifest["databases"]):
        raise ToolError(
            ExitCode.USAGE,
            f"The dump holds {sorted(manifest['databases'])}, and this backend has {sorted(wanted)}.",
            "Both are restored together: set access to what it was when the dump was taken.",
        )


def _plan(admin: Connection, databases: Databases, manifest: dict[str, Any]) -> list[_Plan]:
    """Return what is restored under which names; nobody else makes such names while the locks are held."""
    now = next_stamp(left for _, address in databases.items() for left in kept_databases(admin, address.name))
    return [
        _Plan(
            name=name,
            current=address,
            restored=address.renamed(restoring_name(address.name, now)),
            kept=address.renamed(kept_name(address.name, now)),
            entry=manifest["databases"][name],
        )
        for name, address in databases.items()
    ]


def _fill(admin: Connection, store: Store, plan: _Plan, say: Callable[[str], None]) -> None:
    say(f"restoring {plan.entry['object']} into {plan.restored}")
    with tool_errors(f"Creating {plan.restored}"):
        _create_like(admin, plan.current.name, plan.restored.name)
    digest, size = hashlib.sha256(), 0
    with clients.restoring(plan.restored) as target:
        for piece in store.reading(plan.entry["object"]):
            digest.update(piece)
            size += len(piece)
            target.write(piece)
    if (digest.hexdigest(), size) != (plan.entry["sha256"], plan.entry["bytes"]):
        finding = f"{plan.entry['object']} is not what was dumped: its checksum or its size differs."
        raise ToolError(ExitCode.FAILED, finding, "Restore another dump.")
    _compare(plan)
    carry_over(plan.current, plan.restored)


def _reencrypt(plan: _Plan, say: Callable[[str], None]) -> None:
    """Put what the dump holds encrypted under the keys in force: they may have been rotated since."""
    if plan.name == "tracking" and encryption.named(os.environ):
        with connected(plan.restored, purpose="restore") as connection:
            reencrypt.of_database(connection, plan.restored, reencrypt.ring_of_environment(), say)


def _create_like(admin: Connection, model: str, name: str) -> None:
    """Create a database with the encoding, collation and owner of another."""
    with admin.cursor() as cursor:
        cursor.execute(
            "SELECT pg_encoding_to_char(encoding), datcollate, datctype, pg_get_userbyid(datdba)"
            " FROM pg_database WHERE datname = %s",
            (model,),
        )
        row = cursor.fetchone()
        assert row is not None  # noqa: S101 - a connection to it is open
        statement = "CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING {} LC_COLLATE {} LC_CTYPE {}"
        encoding, collation, characters, owner = row
        cursor.execute(
            sql.SQL(statement).format(
                sql.Identifier(name),
                sql.Identifier(owner),
                sql.Literal(encoding),
                sql.Literal(collation),
                sql.Literal(characters),
            )
        )


def _compare(plan: _Plan) -> None:
    chain = read_chains(installed_package())[plan.name]
    with connected(plan.restored, purpose="restore") as connection, tool_errors(f"Reading {plan.restored}"):
        _, where = schema_position(connection, chain)
        counts = count_rows(connection, frozenset(plan.entry["row_counts"]))
        # A dump of an earlier release has none.
        expected = plan.entry.get("samples", {})
        samples = sample_rows(connection, frozenset(expected))
    if where.head != plan.entry["head"] or counts != plan.entry["row_counts"]:
        raise ToolError(
            ExitCode.NOT_AT_HEAD,
            f"The restored database is at {where.head} with {counts}, and the dump was of "
            f"{plan.entry['head']} with {plan.entry['row_counts']}.",
            "Restore another dump.",
        )
    if different := sorted(table for table, sample in expected.items() if samples.get(table) != sample):
        finding = f"The restored database has other rows than were dumped in {', '.join(different)}."
        raise ToolError(ExitCode.NOT_AT_HEAD, finding, "Restore another dump.")


def _discard(admin: Connection, plans: list[_Plan]) -> None:
    """Drop what this restore made and did not switch in; it has names that nothing else has."""
    if admin.closed:
        return
    admin.rollback()
    admin.autocommit = True
    for plan in plans:
        drop(admin, plan.restored.name)
