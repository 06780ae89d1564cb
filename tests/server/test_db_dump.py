"""Dumps and restores of both databases, streamed through a real S3 server and a real Postgres."""

from __future__ import annotations

import json
import re
import threading
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest

from tests.server.environments import Tool, finish
from tests.server.services import POSTGRES_BIN, ObjectStore, Postgres, Services, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    MakeTool = Callable[..., Tool]

DUMPS = "s3://mlflow/_backend/dumps"


@pytest.fixture
def filled(tool: MakeTool, postgres: Postgres, database: str) -> Tool:
    """A backend of the oldest version with a little in both databases."""
    made = tool("2.9.2", auth=True)
    assert made.run("upgrade").code == 0
    postgres.execute(database, "INSERT INTO experiments (name) SELECT 'e' || i FROM generate_series(1, 500) i")
    postgres.execute(f"{database}_auth", "INSERT INTO users (username, password_hash) VALUES ('admin', 'scrypt:x')")
    return made


@pytest.fixture
def dumped(filled: Tool) -> str:
    """The address of a dump of it."""
    outcome = filled.run("dump", "--to", DUMPS)
    assert outcome.code == 0
    return str(outcome.report["address"])


def test_a_restore_brings_both_databases_back_and_keeps_what_it_replaced(
    filled: Tool, dumped: str, tool: MakeTool, postgres: Postgres, database: str
) -> None:
    """After an upgrade to the newest, the dump brings the old heads and rows back under the same names."""
    newest = tool("3.17.2", auth=True)
    assert newest.run("upgrade").code == 0
    postgres.execute(database, "DELETE FROM experiments")
    restored = newest.run("restore", "--from", dumped)
    assert restored.code == 0
    assert filled.run("check").code == 0
    assert postgres.execute(database, "SELECT count(*) FROM experiments") == [(500,)]
    assert postgres.execute(f"{database}_auth", "SELECT username, password_hash FROM users") == [("admin", "scrypt:x")]
    kept = {entry["kept"] for entry in restored.report["databases"].values()}
    assert postgres.names(database) == {database, f"{database}_auth", *kept}
    assert postgres.execute(restored.report["databases"]["tracking"]["kept"], "SELECT count(*) FROM experiments") == [
        (0,)
    ]


def test_a_dump_in_a_folder_brings_both_databases_back(
    filled: Tool, postgres: Postgres, database: str, tmp_path: Path
) -> None:
    """As on the target local, which has no object store for dumps; losses are counted from there too."""
    outcome = filled.run("dump", "--to", (tmp_path / "a b").as_uri())
    assert outcome.code == 0
    address = str(outcome.report["address"])
    names = {path.name for path in (tmp_path / "a b" / address.rpartition("/")[2]).iterdir()}
    assert names == {"tracking.dump", "auth.dump", "manifest.json"}
    postgres.execute(database, "DELETE FROM experiments WHERE name = 'e1'")
    assert filled.run("losses", "--from", address).report["losses"] == {"deleted experiments that come back": 1}
    assert filled.run("restore", "--from", address).code == 0
    assert postgres.execute(database, "SELECT count(*) FROM experiments") == [(500,)]


def test_samples_are_of_the_rows_of_the_newest_runs(
    filled: Tool, postgres: Postgres, database: str, tmp_path: Path
) -> None:
    """Of 30 runs the 20 that began last: a changed metric of one of them changes the sample, of an older one not."""

    def sampled() -> dict[str, str]:
        outcome = filled.run("dump", "--to", tmp_path.as_uri())
        assert outcome.code == 0, outcome.report
        return dict(outcome.report["databases"]["tracking"]["samples"])

    runs = "INSERT INTO runs (run_uuid, start_time) SELECT 'r' || i, i FROM generate_series(1, 30) i"
    postgres.execute(database, runs)
    metrics = "SELECT 'loss', 1, 0, run_uuid, 0, false FROM runs"
    postgres.execute(database, "INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan) " + metrics)
    before = sampled()
    assert (before["runs"][:9], before["metrics"][:9]) == ("20 rows, ", "20 rows, ")
    postgres.execute(database, "UPDATE metrics SET value = 2 WHERE run_uuid = 'r10'")
    assert sampled() == before
    postgres.execute(database, "UPDATE metrics SET value = 2 WHERE run_uuid = 'r11'")
    assert {table for table, sample in sampled().items() if sample != before[table]} == {"metrics"}


def test_what_was_kept_is_listed_and_dropped_only_by_name(
    filled: Tool, dumped: str, postgres: Postgres, database: str
) -> None:
    """`drop` takes what `status` lists and nothing else, the live database least of all."""
    assert filled.run("restore", "--from", dumped).code == 0
    listed = filled.run("status").report["databases"]["tracking"]["kept_databases"]
    assert len(listed) == 1
    for wrong in (database, "postgres", f"{database}__before_x", f"{database}__before_20260101t000000"):
        assert filled.run("drop", wrong).code == 2
    assert filled.run("drop", listed[0]).code == 0
    assert listed[0] not in postgres.names(database)


def test_a_restore_succeeds_while_clients_keep_coming_back(
    filled: Tool, dumped: str, postgres: Postgres, database: str
) -> None:
    """Servers that reconnect at once neither stop the switch nor see anything but one of the two databases."""
    over, seen = threading.Event(), set()

    def knock() -> None:
        while not over.is_set():
            try:
                seen.add(postgres.execute(database, "SELECT count(*) FROM experiments")[0][0])
            except psycopg2.Error:
                continue

    clients = [threading.Thread(target=knock) for _ in range(4)]
    for client in clients:
        client.start()
    try:
        postgres.execute(database, "DELETE FROM experiments")
        assert filled.run("restore", "--from", dumped).code == 0
    finally:
        over.set()
        for client in clients:
            client.join()
    assert seen <= {0, 500}
    assert postgres.execute(database, "SELECT count(*) FROM experiments") == [(500,)]


def _cut_short(store: ObjectStore, folder: str) -> None:
    body = store.client.get_object(Bucket="mlflow", Key=f"{folder}/auth.dump")["Body"].read()
    store.client.put_object(Bucket="mlflow", Key=f"{folder}/auth.dump", Body=body[: len(body) // 2])


def _add_a_byte(store: ObjectStore, folder: str) -> None:
    body = store.client.get_object(Bucket="mlflow", Key=f"{folder}/auth.dump")["Body"].read()
    store.client.put_object(Bucket="mlflow", Key=f"{folder}/auth.dump", Body=body + b"\0")


def _swap(store: ObjectStore, folder: str) -> None:
    body = store.client.get_object(Bucket="mlflow", Key=f"{folder}/tracking.dump")["Body"].read()
    store.client.put_object(Bucket="mlflow", Key=f"{folder}/auth.dump", Body=body)


def _lose(store: ObjectStore, folder: str) -> None:
    store.client.delete_object(Bucket="mlflow", Key=f"{folder}/auth.dump")


def _promise_another_head(store: ObjectStore, folder: str) -> None:
    manifest = json.loads(store.client.get_object(Bucket="mlflow", Key=f"{folder}/manifest.json")["Body"].read())
    manifest["databases"]["auth"]["head"] = "f1a2b3c4d5e6"
    store.client.put_object(Bucket="mlflow", Key=f"{folder}/manifest.json", Body=json.dumps(manifest).encode())


def _promise_other_rows(store: ObjectStore, folder: str) -> None:
    manifest = json.loads(store.client.get_object(Bucket="mlflow", Key=f"{folder}/manifest.json")["Body"].read())
    samples = manifest["databases"]["tracking"]["samples"]
    assert samples["experiments"].startswith("500 rows, ")
    samples["experiments"] = f"{samples['experiments']}1"
    store.client.put_object(Bucket="mlflow", Key=f"{folder}/manifest.json", Body=json.dumps(manifest).encode())


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (_cut_short, 1),
        (_add_a_byte, 1),
        (_swap, 1),
        (_lose, 12),
        (_promise_another_head, 13),
        (_promise_other_rows, 13),
    ],
)
def test_a_spoilt_dump_changes_nothing(
    filled: Tool, dumped: str, services: Services, database: str, spoil: Callable[..., None], code: int
) -> None:
    """Whatever is wrong with the second database, the first is not switched either and nothing is left behind."""
    spoil(services.store, dumped.removeprefix("s3://mlflow/"))
    services.postgres.execute(database, "DELETE FROM experiments WHERE name = 'e1'")
    assert filled.run("restore", "--from", dumped).code == code
    assert services.postgres.execute(database, "SELECT count(*) FROM experiments") == [(499,)]
    assert services.postgres.names(database) == {database, f"{database}_auth"}


def test_a_restore_waits_for_no_other_writer_when_asked_not_to(filled: Tool, dumped: str, postgres: Postgres) -> None:
    """Exit 16 while an upgrade or another restore holds the lock."""
    guard = psycopg2.connect(
        host="127.0.0.1", port=postgres.port, user="mlflow", password=postgres.password, dbname=_name_of(filled)
    )
    guard.cursor().execute("SELECT pg_advisory_lock(%s, %s)", (0x6D6C6662, 0x7363686D))
    try:
        assert filled.run("restore", "--from", dumped, "--wait", "0").code == 16
    finally:
        guard.close()


def test_a_dump_of_one_database_is_not_restored_over_two(tool: MakeTool, filled: Tool) -> None:
    """Both or none: a backend that gained or lost basic auth since is refused with a sentence."""
    alone = tool("2.9.2").run("dump", "--to", DUMPS)
    assert alone.code == 0
    assert filled.run("restore", "--from", alone.report["address"]).code == 2


def test_what_cannot_be_stored_leaves_no_manifest(filled: Tool, services: Services) -> None:
    """A bucket that is missing, a store that is down, an address that is none: a code each, and no half dump."""
    assert filled.run("dump", "--to", "s3://missing/dumps").code == 12
    assert filled.run("dump", "--to", "ftp://somewhere").code == 2
    assert filled.run("restore", "--from", f"{DUMPS}/20200101t000000-aaaaaa").code == 12
    before = set(_objects(services.store))
    broken = Tool(version="2.9.2", environment={**filled.environment, "MLFLOW_BACKEND_POSTGRES_BIN": "/nowhere"})
    assert broken.run("dump", "--to", DUMPS).code == 1
    assert {key for key in set(_objects(services.store)) - before if key.endswith("manifest.json")} == set()


def test_no_secret_is_shown_to_other_users_of_the_machine(filled: Tool, services: Services, database: str) -> None:
    """While pg_dump runs, no command line on the machine holds the password."""
    held = psycopg2.connect(
        host="127.0.0.1",
        port=services.postgres.port,
        user="mlflow",
        password=services.postgres.password,
        dbname=f"{database}_auth",
    )
    held.cursor().execute("LOCK TABLE experiment_permissions IN ACCESS EXCLUSIVE MODE")
    with_password = filled.environment["MLFLOW_BACKEND_STORE_URI"].replace(
        "mlflow@", f"mlflow:{services.postgres.password}@"
    )
    both = {
        "MLFLOW_BACKEND_STORE_URI": with_password,
        "MLFLOW_BACKEND_AUTH_DATABASE_URI": f"{with_password}_auth",
        "PGPASSWORD": "",
    }
    process = Tool(version="2.9.2", environment={**filled.environment, **both}).start("dump", "--to", DUMPS)
    try:
        dumping = (
            "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pg_dump' AND wait_event_type = 'Lock'"
        )
        until(lambda: services.postgres.execute("postgres", dumping)[0][0], what="a pg_dump that waits")
        assert not any(services.postgres.password in line for line in _command_lines())
    finally:
        held.close()
    outcome = finish(process)
    assert outcome.code == 0
    assert services.postgres.password not in f"{outcome.report}{outcome.words}"


def _command_lines() -> Iterator[str]:
    from pathlib import Path  # noqa: PLC0415 - only here

    for entry in Path("/proc").iterdir():
        if re.fullmatch(r"\d+", entry.name):
            try:
                yield (entry / "cmdline").read_text(errors="replace")
            except OSError:
                continue


def _objects(store: ObjectStore) -> list[str]:
    answer: dict[str, Any] = store.client.list_objects_v2(Bucket="mlflow")
    return [str(entry["Key"]) for entry in answer.get("Contents", [])]


def _name_of(made: Tool) -> str:
    return made.environment["MLFLOW_BACKEND_STORE_URI"].rpartition("/")[2]


def test_losses_are_counted_row_by_row_and_change_nothing(
    filled: Tool, dumped: str, tool: MakeTool, postgres: Postgres, database: str
) -> None:
    """Added, changed and deleted since the dump, in both databases, also across an upgrade; by name, without zeros.

    A tag is a row of another table, and a change of its experiment all the same.
    """
    postgres.execute(database, "INSERT INTO experiments (name) SELECT 'n' || i FROM generate_series(1, 3) i")
    postgres.execute(database, "UPDATE experiments SET lifecycle_stage = 'deleted' WHERE name IN ('e1', 'e2')")
    postgres.execute(database, "DELETE FROM experiments WHERE name = 'e9'")
    tag = "INSERT INTO experiment_tags (key, value, experiment_id) SELECT 'k', 'v', experiment_id FROM experiments"
    postgres.execute(database, f"{tag} WHERE name = 'e3'")
    postgres.execute(f"{database}_auth", "UPDATE users SET password_hash = 'scrypt:z'")
    expected = {"experiments": 3, "changed experiments": 3, "deleted experiments that come back": 1, "changed users": 1}
    assert filled.run("losses", "--from", dumped).report["losses"] == expected
    newest = tool("3.17.2", auth=True)
    assert newest.run("upgrade").code == 0
    outcome = newest.run("losses", "--from", dumped)
    assert (outcome.code, outcome.report["losses"]) == (0, expected)
    assert postgres.names(database) == {database, f"{database}_auth"}


def test_nothing_is_lost_where_nothing_was_written(filled: Tool, dumped: str) -> None:
    """An empty answer is an answer."""
    assert filled.run("losses", "--from", dumped).report["losses"] == {}


def test_losses_of_a_dump_that_is_not_there_are_a_failure(filled: Tool) -> None:
    """Nobody takes 'not counted' for 'nothing is lost'."""
    outcome = filled.run("losses", "--from", f"{DUMPS}/20200101T000000Z-none")
    assert outcome.code != 0
    assert "losses" not in outcome.report


def test_undo_puts_back_what_the_last_restore_replaced(
    filled: Tool, dumped: str, postgres: Postgres, database: str
) -> None:
    """Both databases, by rename: what was written after the dump is there again, and the restored ones are kept."""
    postgres.execute(database, "INSERT INTO experiments (name) VALUES ('after')")
    postgres.execute(f"{database}_auth", "UPDATE users SET password_hash = 'scrypt:y'")
    assert filled.run("restore", "--from", dumped).code == 0
    assert postgres.execute(database, "SELECT count(*) FROM experiments WHERE name = 'after'") == [(0,)]
    outcome = filled.run("undo")
    assert outcome.code == 0, outcome.report
    assert postgres.execute(database, "SELECT count(*) FROM experiments WHERE name = 'after'") == [(1,)]
    assert postgres.execute(f"{database}_auth", "SELECT password_hash FROM users") == [("scrypt:y",)]
    kept = {entry["kept"] for entry in outcome.report["databases"].values()}
    assert postgres.names(database) == {database, f"{database}_auth", *kept}


def test_a_restore_is_the_newest_whatever_the_clock_says(
    filled: Tool, dumped: str, postgres: Postgres, database: str
) -> None:
    """What it keeps gets a later name than all that is kept: of the same second, or of a clock that was ahead."""
    ahead = [f"{name}__before_29991231t235959" for name in (database, f"{database}_auth")]
    for name in ahead:
        postgres.execute("postgres", f'CREATE DATABASE "{name}"')
    postgres.execute(database, "INSERT INTO experiments (name) VALUES ('after')")
    assert filled.run("restore", "--from", dumped).code == 0
    assert postgres.execute(database, "SELECT count(*) FROM experiments WHERE name = 'after'") == [(0,)]
    outcome = filled.run("undo")
    assert outcome.code == 0, outcome.report
    assert postgres.execute(database, "SELECT count(*) FROM experiments WHERE name = 'after'") == [(1,)]
    kept = [entry["kept"] for entry in outcome.report["databases"].values()]
    assert {name.rpartition("_")[2] for name in kept} == {"30000101t000001"}
    assert postgres.names(database) == {database, f"{database}_auth", *ahead, *kept}


def test_undo_without_a_restore_changes_nothing(filled: Tool, postgres: Postgres, database: str) -> None:
    """There is nothing to put back, and it says so."""
    outcome = filled.run("undo")
    assert (outcome.code, "No restore" in outcome.report["error"]) == (2, True)
    assert postgres.names(database) == {database, f"{database}_auth"}


def test_a_table_that_somebody_has_locked_is_not_waited_for_for_ever(
    filled: Tool, postgres: Postgres, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Servers may be stopped while a dump is taken: pg_dump gives up, and its words name the lock."""
    from mlflow_backend_server.db import clients  # noqa: PLC0415 - only here is the package on the path
    from mlflow_backend_server.db.addresses import Address  # noqa: PLC0415
    from mlflow_backend_server.db.postgres import connected  # noqa: PLC0415
    from mlflow_backend_server.db.verdicts import ToolError  # noqa: PLC0415

    assert filled
    monkeypatch.setattr(clients, "LOCK_WAIT_S", 1)
    monkeypatch.setenv(clients.BIN_VARIABLE, str(POSTGRES_BIN))
    parameters = {"host": "127.0.0.1", "port": str(postgres.port), "user": "mlflow", "password": postgres.password}
    address = Address(name=database, parameters=parameters)
    with (
        connected(address, purpose="test") as holder,
        holder.cursor() as cursor,
        connected(address, purpose="test") as other,
        other.cursor() as asked,
    ):
        asked.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
        asked.execute("SELECT pg_export_snapshot()")
        snapshot = str(asked.fetchone()[0])
        asked.execute("SHOW lock_timeout")
        assert asked.fetchone() == ("1min",)
        cursor.execute("BEGIN")
        cursor.execute("LOCK TABLE runs IN ACCESS EXCLUSIVE MODE")
        dumping = clients.dumping(address, snapshot=snapshot)
        with pytest.raises(ToolError, match=r"timeout.*LOCK TABLE"), dumping as output:
            output.read()
