"""Data of an older Postgres major: carried over by dump and restore while the stack goes on, or refused in words."""

from __future__ import annotations

import contextlib
import shutil
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.local import credentials, database, majors, postgres, services
from mlflow_backend.local.database import Database
from mlflow_backend.local.naming import DATABASE, ROLE
from mlflow_backend.local.state import StateDir
from mlflow_backend.local.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

OLDER, NEWER = 16, 18
"""The majors of the one wheel that `local` runs."""
WISHES = {"maxConnections": 20}


def programs(major: int) -> Path:
    """Return the installed programs of a major."""
    found = postgres.programs_of(major)
    assert found is not None
    return found


def run(state: StateDir) -> int:
    """Bring the service to what is installed, as an update does; return its port."""
    return int(services.apply(state, Database.name, WISHES)["listens"])


def asked(state: StateDir, port: int, statement: str) -> list[Any]:
    """Ask as MLflow does."""
    password = credentials.read(state, credentials.DATABASE)
    with contextlib.closing(
        psycopg2.connect(host="127.0.0.1", port=port, user=ROLE, password=password, dbname=DATABASE)
    ) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute(statement)
            return list(cursor.fetchall()) if cursor.description else []


@pytest.fixture
def older(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[StateDir, int]]:
    """A stack that serves on the older major, with rows of MLflow's role."""
    monkeypatch.setattr(database, "binaries", lambda: programs(OLDER))
    state = StateDir(tmp_path / "state")
    credentials.ensure(state)
    supervisor = Supervisor(state)
    supervisor.start()
    try:
        port = run(state)
        asked(state, port, "CREATE TABLE runs (id serial PRIMARY KEY, name text)")
        asked(state, port, "INSERT INTO runs (name) SELECT 'run ' || n FROM generate_series(1, 500) AS n")
        yield state, port
    finally:
        supervisor.shutdown(timeout_s=30)


def carried(state: StateDir, port: int) -> None:
    """Hold that everything is there, owned by MLflow's role, on the newer major."""
    ((version,),) = asked(state, port, "SHOW server_version")
    assert postgres.major_of_data(state.database) == NEWER == int(str(version).split(".")[0])
    assert asked(state, port, "SELECT count(*), max(name) FROM runs WHERE name LIKE 'run %'") == [(500, "run 99")]
    assert asked(state, port, "INSERT INTO runs (name) VALUES ('later') RETURNING id") == [(501,)]
    assert asked(state, port, "SELECT tableowner FROM pg_tables WHERE tablename = 'runs'") == [(ROLE,)]


def test_an_update_to_a_newer_major_carries_the_data_over(
    older: tuple[StateDir, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The service runs while the update begins, on its port as before it, and the old data stay beside the new ones."""
    state, port = older
    monkeypatch.setattr(database, "binaries", lambda: programs(NEWER))
    assert run(state) == port
    carried(state, port)
    assert postgres.major_of_data(state.path / f"database-{OLDER}") == OLDER
    assert {each.name for each in state.path.glob("database*")} == {"database", f"database-{OLDER}"}
    assert run(state) == port, "a second update changes nothing"
    assert asked(state, port, "SELECT count(*) FROM runs") == [(501,)]


class Killed(BaseException):
    """The update ended here."""


@pytest.mark.parametrize("step", ["copied", "kept", "carried"])
def test_a_killed_update_is_repeated(older: tuple[StateDir, int], monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    """Between any two renames: nothing is lost, and the next update ends what was begun."""
    state, port = older
    monkeypatch.setattr(database, "binaries", lambda: programs(NEWER))
    target = {"copied": "database.carried", "kept": f"database-{OLDER}", "carried": "database"}[step]
    rename = type(state.path).rename

    def dying(path: Path, to: Path) -> Path:
        if to.name == target:
            raise Killed
        return rename(path, to)

    with monkeypatch.context() as dies:
        dies.setattr(type(state.path), "rename", dying)
        with pytest.raises(Killed):
            run(state)
    assert run(state) == port
    carried(state, port)


def test_what_cannot_be_carried_over_is_refused_and_goes_on_serving(
    older: tuple[StateDir, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without programs of the old major, or without room: the message says what to do, and nothing was stopped."""
    state, port = older
    monkeypatch.setattr(database, "binaries", lambda: programs(NEWER))
    with monkeypatch.context() as lacking:
        lacking.setattr(majors, "programs_of", lambda _: None)
        with pytest.raises(PlatformFailed) as refused:
            run(state)
    assert f"Postgres {OLDER}" in refused.value.finding
    assert "dump" in refused.value.fix
    with monkeypatch.context() as full:
        full.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(1, 1, 0))  # type: ignore[attr-defined]
        with pytest.raises(PlatformFailed, match="MiB"):
            run(state)
    assert asked(state, port, "SELECT count(*) FROM runs") == [(500,)]


def test_data_of_a_newer_major_are_refused(tmp_path: Path) -> None:
    """Somebody went back to an older version of the project: data never move to an older major."""
    data = tmp_path / "database"
    data.mkdir()
    (data / "PG_VERSION").write_text(f"{NEWER}\n")
    with pytest.raises(PlatformFailed, match=f"Postgres {NEWER}"):
        majors.source(data, programs(OLDER))


def test_a_stack_runs_the_major_that_its_folder_names(tmp_path: Path) -> None:
    """A backup of another target is drilled on the newest; a major that is not installed is refused, not replaced."""
    state = StateDir(tmp_path)
    assert database.programs(state) == programs(OLDER)
    state.postgres_major.write_text(str(postgres.newest_major()))
    assert database.programs(state) == programs(NEWER)
    for other in ("9", "no number"):
        state.postgres_major.write_text(other)
        with pytest.raises(PlatformFailed, match=f"Postgres {other}"):
            database.programs(state)
