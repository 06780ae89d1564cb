"""Databases switched beside an autovacuum worker, by a role that is no superuser, on a stock server."""

from __future__ import annotations

import secrets
from contextlib import closing
from typing import TYPE_CHECKING

import psycopg2
import pytest
from mlflow_backend_server.db.kept import drop_kept, kept_name
from mlflow_backend_server.db.switching import Swap, switch
from psycopg2 import sql

from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from psycopg2.extensions import connection

    from tests.server.services import Postgres

# A worker that is slow on purpose: one page, then a pause.
_SLOW = "autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1, autovacuum_vacuum_scale_factor = 0"
_WORKERS = "SELECT pid FROM pg_stat_activity WHERE backend_type = 'autovacuum worker' AND datname = "


@pytest.fixture
def master(postgres: Postgres) -> Iterator[connection]:
    """The role that a managed Postgres gives: it may make databases and end others' queries, and is no superuser."""
    name, password = f"m_{secrets.token_hex(4)}", secrets.token_hex(8)
    role = sql.Identifier(name)
    made = sql.SQL("CREATE ROLE {} LOGIN CREATEDB CREATEROLE PASSWORD {}")
    postgres.execute("postgres", made.format(role, sql.Literal(password)))
    with closing(
        psycopg2.connect(host="127.0.0.1", port=postgres.port, user=name, password=password, dbname="postgres")
    ) as made_as:
        made_as.autocommit = True
        yield made_as
    for left in postgres.names(name):
        postgres.drop(left)
    postgres.execute("postgres", sql.SQL("DROP ROLE {}").format(role))


@pytest.fixture
def busy(postgres: Postgres, master: connection) -> Iterator[str]:
    """A database of that role in which an autovacuum worker is at work."""
    name = f"{master.info.user}_now"
    with master.cursor() as cursor:
        cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    postgres.execute(name, f"CREATE TABLE t (x text) WITH (autovacuum_vacuum_threshold = 1, {_SLOW})")
    postgres.execute(name, "INSERT INTO t SELECT repeat('x', 500) FROM generate_series(1, 20000)")
    postgres.execute(name, "DELETE FROM t")
    postgres.execute("postgres", "ALTER SYSTEM SET autovacuum_naptime = '1s'")
    postgres.execute("postgres", "SELECT pg_reload_conf()")
    until(lambda: postgres.execute("postgres", f"{_WORKERS}'{name}'"), what="an autovacuum worker")
    yield name
    postgres.execute("postgres", "ALTER SYSTEM RESET autovacuum_naptime")
    postgres.execute("postgres", "SELECT pg_reload_conf()")


def test_a_switch_beside_autovacuum_needs_no_superuser(postgres: Postgres, master: connection, busy: str) -> None:
    """Right after a restore a worker is likely there, and nobody but a superuser may end one."""
    said: list[str] = []
    switch(master, [Swap(current=busy, incoming=_empty(master), aside=f"{busy}_old")], said.append)
    assert postgres.names(master.info.user) == {busy, f"{busy}_old"}
    assert postgres.execute(f"{busy}_old", "SELECT count(*) FROM pg_class WHERE relname = 't'") == [(1,)]
    assert len(said) == 1


def test_a_kept_database_beside_autovacuum_is_dropped(postgres: Postgres, master: connection, busy: str) -> None:
    """DROP ... WITH (FORCE) refuses that to whoever may not end the worker, as `local`'s own role."""
    kept = kept_name(busy, "20261127t000000")
    switch(master, [Swap(current=busy, incoming=_empty(master), aside=kept)], lambda _: None)
    until(lambda: postgres.execute("postgres", f"{_WORKERS}'{kept}'"), what="an autovacuum worker")
    drop_kept(master, kept, busy)
    assert postgres.names(master.info.user) == {busy}


def _empty(master: connection) -> str:
    name = f"{master.info.user}_new"
    with master.cursor() as cursor:
        cursor.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
    return name
