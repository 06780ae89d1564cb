"""Faults of the backend's own parts: each stopped, hung, full, denied, empty, or not the one that was meant."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import urllib.error
import urllib.request
from contextlib import contextmanager
from dataclasses import replace
from http import HTTPStatus
from typing import TYPE_CHECKING

import psutil
import psycopg2
import redis

from mlflow_backend.local import api_keys, credentials, ports, revisions
from mlflow_backend.local.naming import BUCKET, DATABASE, ROLE
from mlflow_backend.local.supervisor import Supervisor
from mlflow_backend.verify.model import Result
from tests.engine.calls import eventually
from tests.engine.faults.scene import Fault, Scene, healthy

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from redis import Redis

    from mlflow_backend.verify.subjects import Subject

METRIC_KEY = "key, timestamp, step, run_uuid, value, is_nan"
CUT_OFF = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{ROLE}'"  # noqa: S608 - a constant of ours


def server_name(scene: Scene) -> str:
    """The program of the serving revision."""
    return revisions.program_name(int(scene.subject.expected_revision or 0))


def processes(scene: Scene, part: str) -> list[psutil.Process]:
    """The live processes of a part, found by descent: Postgres writes over the environment that marks them."""
    status = Supervisor(scene.stack.state).status(server_name(scene) if part == "server" else part)
    assert status is not None
    first = psutil.Process(status.pid)
    return [first, *first.children(recursive=True)]


def stopped(part: str) -> Callable[[Scene], AbstractContextManager[Subject]]:
    """The supervisor gets the order to stop a part."""

    @contextmanager
    def play(scene: Scene) -> Iterator[Subject]:
        supervisor = Supervisor(scene.stack.state)
        name = server_name(scene) if part == "server" else part
        supervisor._call("stopProcess", name)
        try:
            yield scene.subject
        finally:
            supervisor._call("startProcess", name, False)
            scene.recovered()

    return play


def hung(part: str) -> Callable[[Scene], AbstractContextManager[Subject]]:
    """Every process of a part is stopped by SIGSTOP: it holds its connections and answers nothing."""

    @contextmanager
    def play(scene: Scene) -> Iterator[Subject]:
        stopped = processes(scene, part)
        assert stopped
        _send(stopped, signal.SIGSTOP)
        try:
            yield scene.subject
        finally:
            _send(stopped, signal.SIGCONT)
            scene.recovered()

    return play


def _send(found: list[psutil.Process], number: signal.Signals) -> None:
    for process in found:
        # A connection of Postgres ends as soon as the first process goes on.
        with contextlib.suppress(psutil.NoSuchProcess):
            process.send_signal(number)


def by_sql(*break_it: str, fix: tuple[str, ...]) -> Callable[[Scene], AbstractContextManager[Subject]]:
    """The database is changed under the server, and changed back."""

    @contextmanager
    def play(scene: Scene) -> Iterator[Subject]:
        try:
            scene.sql(*break_it)
            yield scene.subject
        finally:
            scene.sql(*fix)
            scene.recovered()

    return play


@contextmanager
def locked_table(scene: Scene) -> Iterator[Subject]:
    """Somebody holds a lock on a table that the server writes."""
    holder = psycopg2.connect(
        host="127.0.0.1",
        port=ports.known(scene.stack.state)["database"],
        user="postgres",
        password=credentials.read(scene.stack.state, credentials.DATABASE_ADMIN),
        dbname=DATABASE,
    )
    try:
        holder.cursor().execute("LOCK TABLE params IN ACCESS EXCLUSIVE MODE")
        yield scene.subject
    finally:
        holder.close()
        scene.recovered()


@contextmanager
def slow_table(scene: Scene) -> Iterator[Subject]:
    """Each write to a table takes longer than a request may."""
    function = (
        "CREATE FUNCTION slow() RETURNS trigger AS 'BEGIN PERFORM pg_sleep(15); RETURN NEW; END' LANGUAGE plpgsql"
    )
    try:
        scene.sql(function, "CREATE TRIGGER slow BEFORE INSERT ON tags FOR EACH ROW EXECUTE FUNCTION slow()")
        yield scene.subject
    finally:
        # Whoever sleeps in the trigger holds a lock that dropping it waits for.
        scene.sql(CUT_OFF, "DROP FUNCTION slow CASCADE")
        scene.recovered()


def discarding(table: str) -> Callable[[Scene], AbstractContextManager[Subject]]:
    """A trigger on a table lets rows be written, and keeps none."""
    return by_sql(
        "CREATE FUNCTION discard() RETURNS trigger AS 'BEGIN RETURN NULL; END' LANGUAGE plpgsql",
        f"CREATE TRIGGER discard BEFORE INSERT ON {table} FOR EACH ROW EXECUTE FUNCTION discard()",
        fix=("DROP FUNCTION IF EXISTS discard CASCADE",),
    )


def for_role(setting: str) -> Callable[[Scene], AbstractContextManager[Subject]]:
    """The server's role gets a setting in the database, and its connections begin anew."""
    name = setting.partition(" ")[0]
    return by_sql(
        f"ALTER ROLE {ROLE} SET {setting}",
        CUT_OFF,
        fix=(f"ALTER ROLE {ROLE} RESET {name}", CUT_OFF),
    )


@contextmanager
def cancelled(scene: Scene) -> Iterator[Subject]:
    """Statements that take longer than the server's role may are cancelled."""
    function = "CREATE FUNCTION slow() RETURNS trigger AS 'BEGIN PERFORM pg_sleep(5); RETURN NEW; END' LANGUAGE plpgsql"
    trigger = "CREATE TRIGGER slow BEFORE INSERT ON params FOR EACH ROW EXECUTE FUNCTION slow()"
    with for_role("statement_timeout = '2s'")(scene) as subject:
        try:
            scene.sql(function, trigger)
            yield subject
        finally:
            scene.sql(CUT_OFF, "DROP FUNCTION slow CASCADE")


@contextmanager
def without_temporary_folder(scene: Scene) -> Iterator[Subject]:
    """Somebody tidies up: the server's temporary folder is gone."""
    folder = scene.stack.state.temporary
    kept = folder.with_name("tidied")
    folder.rename(kept)
    try:
        yield scene.subject
    finally:
        kept.rename(folder)
        scene.recovered()


@contextmanager
def full_temporary_folder(scene: Scene) -> Iterator[Subject]:
    """The disk of the server's temporary folder has no room left."""
    folder = scene.stack.state.temporary
    with small_disk(folder, "1m", owner=folder.stat().st_uid):
        fill(folder)
        yield scene.subject
    scene.recovered()


def noticed(
    play: Callable[[Scene], AbstractContextManager[Subject]],
) -> Callable[[Scene], AbstractContextManager[Subject]]:
    """The same fault, verified once the server has seen it: it keeps what it knows of its parts for five seconds."""

    @contextmanager
    def waited(scene: Scene) -> Iterator[Subject]:
        with play(scene) as subject:
            eventually(lambda: _degraded(subject.url), within_s=30, what="the server sees the fault")
            yield subject

    return waited


def _degraded(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/health/components", timeout=5):
            return False
    except urllib.error.HTTPError as answer:
        return bool(answer.code == HTTPStatus.SERVICE_UNAVAILABLE)


def of_the_cache(
    break_it: Callable[[Redis], object], fix: Callable[[Redis], object]
) -> Callable[[Scene], AbstractContextManager[Subject]]:
    """Somebody else changes the cache's settings, and changes them back."""

    @contextmanager
    def play(scene: Scene) -> Iterator[Subject]:
        password = credentials.read(scene.stack.state, credentials.CACHE)
        with redis.Redis("127.0.0.1", ports.known(scene.stack.state)["cache"], password=password) as client:
            client.ping()
            break_it(client)
            try:
                yield scene.subject
            finally:
                fix(client)
        scene.recovered()

    return noticed(play)


@contextmanager
def revoked_api_key(scene: Scene) -> Iterator[Subject]:
    """Somebody takes the verifier's key out of the file that the servers read."""
    state = scene.stack.state
    kept = api_keys.entries(state)
    api_keys.save(state, [])
    try:
        eventually(lambda: not _let_in(scene), within_s=60, what="the key is refused")
        yield scene.subject
    finally:
        api_keys.save(state, kept)
        eventually(lambda: _let_in(scene), within_s=60, what="the key is let in")
        scene.recovered()


def _let_in(scene: Scene) -> bool:
    key = credentials.read(scene.stack.state, credentials.API_KEY)
    asked = urllib.request.Request(f"{scene.subject.url}/version", headers={"X-API-Key": key})
    try:
        with urllib.request.urlopen(asked, timeout=5):
            return True
    except urllib.error.HTTPError:
        return False


@contextmanager
def wrong_password(scene: Scene) -> Iterator[Subject]:
    """The role's password is rotated in the database only."""
    right = credentials.read(scene.stack.state, credentials.DATABASE)
    try:
        scene.sql(f"ALTER ROLE {ROLE} PASSWORD 'another'", CUT_OFF)
        yield scene.subject
    finally:
        scene.sql(f"ALTER ROLE {ROLE} PASSWORD '{right}'")
        scene.recovered()


def restarted_store(scene: Scene) -> None:
    """Restart the S3 server: it remembers keys and folders that it has seen."""
    supervisor = Supervisor(scene.stack.state)
    supervisor._call("stopProcess", "store")
    supervisor._call("startProcess", "store", False)
    port = ports.known(scene.stack.state)["store"]
    eventually(lambda: ports.listens(port), within_s=20, what="the store listens")


@contextmanager
def revoked_key(scene: Scene) -> Iterator[Subject]:
    """The store no longer knows the server's key."""
    manifest = scene.stack.state.programs / "store.json"
    kept = (scene.stack.state.credentials / credentials.STORE_ACCEPTED).read_text()
    assert manifest.exists()
    try:
        credentials.accept_store_keys(scene.stack.state, server=False)
        restarted_store(scene)
        yield scene.subject
    finally:
        (scene.stack.state.credentials / credentials.STORE_ACCEPTED).write_text(kept)
        restarted_store(scene)
        scene.recovered()


@contextmanager
def missing_bucket(scene: Scene) -> Iterator[Subject]:
    """The bucket is gone, under the name that the server has."""
    bucket = scene.stack.state.store / BUCKET
    try:
        bucket.rename(bucket.with_name("elsewhere"))
        restarted_store(scene)
        yield scene.subject
    finally:
        bucket.with_name("elsewhere").rename(bucket)
        restarted_store(scene)
        scene.recovered()


def mounts() -> str:
    """Why no file system can be mounted here; empty if it can."""
    return "" if os.geteuid() == 0 else "mounting a small file system needs root"


@contextmanager
def small_disk(folder: Path, size: str, *, owner: int) -> Iterator[None]:
    """A file system of a few megabytes over a folder."""
    options = f"size={size},mode=700,uid={owner}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)], check=True, timeout=10)
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True, timeout=10)


@contextmanager
def full_store(scene: Scene) -> Iterator[Subject]:
    """The disk of the store has room for small artifacts only."""
    bucket = scene.stack.state.store / BUCKET
    with small_disk(bucket, "8m", owner=bucket.stat().st_uid):
        restarted_store(scene)
        yield scene.subject
    restarted_store(scene)
    scene.recovered()


def fill(folder: Path) -> None:
    """Write until the disk is full."""
    with (folder / "filler").open("wb", buffering=0) as filler, contextlib.suppress(OSError):
        while filler.write(bytes(4096)):
            pass


@contextmanager
def full_database(scene: Scene) -> Iterator[Subject]:
    """The disk below one of the database's tables has no page left."""
    folder = scene.stack.folder / "small"
    folder.mkdir()
    with small_disk(folder, "2m", owner=scene.stack.state.database.stat().st_uid):
        scene.sql(
            f"CREATE TABLESPACE small LOCATION '{folder}'",
            "TRUNCATE metrics",
            "ALTER TABLE metrics SET TABLESPACE small",
        )
        try:
            fill(folder)
            yield scene.subject
        finally:
            (folder / "filler").unlink()
            scene.sql("ALTER TABLE metrics SET TABLESPACE pg_default", "DROP TABLESPACE small")
    scene.recovered()


def expecting(**changes: object) -> Callable[[Scene], AbstractContextManager[Subject]]:
    """The platform was told to run something else than it runs."""

    @contextmanager
    def play(scene: Scene) -> Iterator[Subject]:
        yield replace(scene.subject, **changes)  # type: ignore[arg-type]

    return play


@contextmanager
def starting(scene: Scene) -> Iterator[Subject]:
    """The server was just started, and takes longer than the deadline."""
    for process in processes(scene, "server"):
        process.kill()
    try:
        yield scene.subject
    finally:
        scene.recovered()


def _row(
    mechanism: str, check: str, code: str, play: Callable[[Scene], AbstractContextManager[Subject]], **more: object
) -> Fault:
    return Fault(mechanism=mechanism, check=check, code=code, play=play, control=healthy, **more)  # type: ignore[arg-type]


FAULTS = (
    _row("database stopped", "database", "database-away", stopped("database")),
    _row("database hung", "database", "database-hang", hung("database")),
    _row("table locked by somebody", "log-parameter", "database-hang", locked_table),
    _row("database slow", "run", "database-hang", slow_table),
    _row("database full", "log-metric", "database-full", full_database, skipped_unless=mounts),
    _row("database password rotated", "database", "database-password", wrong_password),
    _row(
        "right to write revoked",
        "run",
        "database-rights",
        by_sql(f"REVOKE INSERT ON runs FROM {ROLE}", fix=(f"GRANT INSERT ON runs TO {ROLE}",)),
    ),
    _row(
        "database read only",
        "experiment",
        "database-read-only",
        by_sql(
            f"ALTER DATABASE {DATABASE} SET default_transaction_read_only = on",
            CUT_OFF,
            fix=(
                "SET default_transaction_read_only = off",
                f"ALTER DATABASE {DATABASE} RESET default_transaction_read_only",
                CUT_OFF,
            ),
        ),
    ),
    _row(
        "no connection left",
        "database",
        "database-connections",
        by_sql(f"ALTER ROLE {ROLE} CONNECTION LIMIT 0", CUT_OFF, fix=(f"ALTER ROLE {ROLE} CONNECTION LIMIT -1",)),
    ),
    _row(
        "database empty",
        "database",
        "schema-mismatch",
        by_sql(
            "ALTER SCHEMA public RENAME TO kept",
            "CREATE SCHEMA public",
            fix=("DROP SCHEMA public CASCADE", "ALTER SCHEMA kept RENAME TO public"),
        ),
    ),
    _row(
        "database migrated under the server",
        "schema",
        "schema-mismatch",
        by_sql(
            "UPDATE alembic_version SET version_num = 'f4a9b2c7d1e6'",
            fix=("UPDATE alembic_version SET version_num = 'dc11669786a5'",),
        ),
    ),
    _row(
        "schema of another head",
        "registered-models",
        "schema-mismatch",
        by_sql(
            "ALTER TABLE registered_models RENAME COLUMN description TO described",
            fix=("ALTER TABLE registered_models RENAME COLUMN described TO description",),
        ),
    ),
    _row("statements cancelled after two seconds", "log-parameter", "database-timeout", cancelled),
    _row("client encoding LATIN1", "experiment", "database-encoding", for_role("client_encoding = 'LATIN1'")),
    _row("client encoding SQL_ASCII", "experiment", "database-encoding", for_role("client_encoding = 'SQL_ASCII'")),
    *(
        _row(f"rows of {table} discarded", check, "stale-or-lost", discarding(table))
        for table, check in {
            "tags": "run-search",
            "params": "run-get",
            "latest_metrics": "run-get",
            "metrics": "metric-history",
            "input_tags": "run-get",
            "experiment_tags": "experiment-search",
            "registered_model_tags": "model-update",
            "registered_model_aliases": "model-update",
            "model_version_tags": "model-alias",
        }.items()
    ),
    _row("rows of inputs discarded", "log-inputs", "database-discards", discarding("inputs")),
    _row(
        "experiment Default deleted",
        "default-experiment",
        "default-experiment",
        by_sql(
            "UPDATE experiments SET lifecycle_stage = 'deleted' WHERE experiment_id = 0",
            fix=("UPDATE experiments SET lifecycle_stage = 'active' WHERE experiment_id = 0",),
        ),
        verdict=Result.PASS,
    ),
    _row(
        "experiment Default kept elsewhere",
        "default-experiment",
        "default-experiment",
        by_sql(
            "UPDATE experiments SET artifact_location = 's3://old/0' WHERE experiment_id = 0",
            fix=("UPDATE experiments SET artifact_location = 'mlflow-artifacts:/0' WHERE experiment_id = 0",),
        ),
        verdict=Result.PASS,
    ),
    _row(
        "table gone that no check writes",
        "components",
        "table-lost",
        noticed(by_sql("ALTER TABLE webhooks RENAME TO gone", fix=("ALTER TABLE gone RENAME TO webhooks",))),
    ),
    _row(
        "primary key of metrics lost",
        "components",
        "table-lost",
        noticed(
            by_sql(
                "ALTER TABLE metrics DROP CONSTRAINT metric_pk",
                fix=(f"ALTER TABLE metrics ADD CONSTRAINT metric_pk PRIMARY KEY ({METRIC_KEY})",),
            )
        ),
    ),
    _row("temporary folder gone", "artifact", "temporary-space", without_temporary_folder),
    _row("temporary folder full", "artifact", "temporary-space", full_temporary_folder, skipped_unless=mounts),
    _row("store stopped", "artifact", "store-away", stopped("store")),
    _row("store hung", "artifact", "artifacts-hang", hung("store")),
    _row("store key revoked", "artifact", "store-key-refused", revoked_key),
    _row("bucket missing", "artifact", "bucket-missing", missing_bucket),
    _row("store full", "artifact-large", "store-space", full_store, skipped_unless=mounts),
    _row("server stopped", "health", "no-server-behind", stopped("server")),
    _row("server hung", "health", "server-hang", hung("server")),
    _row("front stopped", "health", "not-listening", stopped("front")),
    _row("front hung", "health", "server-hang", hung("front")),
    _row("deadline shorter than the start", "health", "no-server-behind", starting, deadline_s=4),
    _row("access off in the server", "credentials", "access-open", expecting(access=True)),
    _row("another version declared", "version", "wrong-version", expecting(expected_version="3.4.0")),
    _row("another revision intended", "revision", "wrong-revision", expecting(expected_revision="99")),
)

# Table -> check of its routes that is red without it, whoever serves: the plugin's own account of tables is another.
USED = {
    "alembic_version": "schema",
    "assessments": "trace",
    "datasets": "run",
    "experiment_tags": "experiment-search",
    "experiments": "database",
    "input_tags": "run",
    "inputs": "run",
    "latest_metrics": "log-metric",
    "logged_model_metrics": "logged-model",
    "logged_model_params": "logged-model",
    "logged_model_tags": "logged-model",
    "logged_models": "logged-model",
    "metrics": "log-metric",
    "model_version_tags": "model",
    "model_versions": "model",
    "params": "log-parameter",
    "registered_model_aliases": "model",
    "registered_model_tags": "registered-models",
    "registered_models": "registered-models",
    "runs": "run",
    "tags": "run",
    "trace_info": "trace",
    "trace_request_metadata": "trace",
    "trace_tags": "trace",
}

# On a stack whose callers need an API key, each with a limit that is counted in the cache.
GUARDED = (
    _row("cache stopped", "components", "component-down", noticed(stopped("cache"))),
    _row("cache hung", "redis", "component-down", noticed(hung("cache"))),
    _row(
        "cache full",
        "redis",
        "component-down",
        of_the_cache(lambda r: r.config_set("maxmemory", 1), lambda r: r.config_set("maxmemory", 0)),
    ),
    _row(
        "cache takes no writes",
        "redis",
        "component-down",
        of_the_cache(lambda r: r.execute_command("ACL", "SETUSER", "default", "-@write"), lambda r: r.acl_load()),
    ),
    _row(
        "cache slow",
        "redis",
        "component-down",
        of_the_cache(lambda r: r.client_pause(60_000, all=False), lambda r: r.client_unpause()),
    ),
    _row(
        "cache password rotated",
        "redis",
        "component-down",
        of_the_cache(
            lambda r: r.execute_command("ACL", "SETUSER", "default", "resetpass", ">another"), lambda r: r.acl_load()
        ),
    ),
    _row("API key revoked", "host", "credentials-rejected", revoked_api_key),
)
