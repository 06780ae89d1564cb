"""The schema that is kept of a first database: used if it is whole, and no update fails because of it."""

from __future__ import annotations

import contextlib
import json
import shutil
from typing import TYPE_CHECKING

import psycopg2
import pytest

from mlflow_backend import caches
from mlflow_backend.local import credentials, environment, ports, schema, services
from mlflow_backend.local.naming import DATABASE, ROLE
from mlflow_backend.local.state import StateDir
from mlflow_backend.local.supervisor import Supervisor
from mlflow_backend.local.templates import TemplatedTool
from mlflow_backend.migrate.tool import ToolResult
from mlflow_backend.schema import Heads

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

VERSION = "3.17.2"


def _folder_in_place_of(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _file_in_place_of(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("")


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[:-40]),
    "garbage": lambda path: path.write_bytes(bytes(range(128, 256))),
    "empty": lambda path: path.write_bytes(b""),
    "missing": lambda path: path.unlink(),
    "a folder": _folder_in_place_of,
    "no folder to keep it in": lambda path: _file_in_place_of(path.parent),
}


class Tool:
    """Stands for the database tool: it makes one table, and counts how often it was asked."""

    def __init__(self, state: StateDir) -> None:
        """Work on this stack's database."""
        self.state, self.runs = state, 0

    def run(self, arguments: Sequence[str], *, deadline_s: float) -> ToolResult:
        """Make the table."""
        del arguments, deadline_s
        self.runs += 1
        execute(self.state, "CREATE TABLE alembic_version AS SELECT 'the head' AS version_num")
        return ToolResult(
            code=0, output=json.dumps({"exit_code": 0, "databases": {"tracking": {"applied": ["x"]}}}), log=""
        )


def execute(state: StateDir, statement: str) -> None:
    """Run a statement as the server's own role."""
    port, password = ports.known(state)["database"], credentials.read(state, credentials.DATABASE)
    session = psycopg2.connect(host=ports.LOOPBACK, port=port, user=ROLE, password=password, dbname=DATABASE)
    with contextlib.closing(session), session, session.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StateDir]:
    """A stack's database, empty."""
    made = StateDir(tmp_path_factory.mktemp("templates") / "stack")
    try:
        credentials.ensure(made)
        Supervisor(made).start()
        services.apply(made, "database", {"maxConnections": 20})
        yield made
    finally:
        Supervisor(made).shutdown(timeout_s=30)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_schema_costs_a_run_of_the_tool_and_nothing_else(
    state: StateDir, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str
) -> None:
    """Whole: the tool is not run. PlatformFailed: it is, the database is at its head, and the schema is kept anew."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    tool = Tool(state)
    kept = caches.cache_folder("schemas") / f"{VERSION}-{environment.locate(VERSION).lock}.dump"

    def upgraded() -> int:
        execute(state, "DROP TABLE IF EXISTS alembic_version")
        TemplatedTool(tool, state, VERSION).upgrade()
        assert schema.heads(state) == Heads(tracking="the head")
        return tool.runs

    assert (upgraded(), upgraded()) == (1, 1)
    DAMAGES[damage](kept)
    assert upgraded() == 2
    assert list(kept.parent.glob(".new-*")) == []
    assert upgraded() == (2 if kept.is_file() else 3)
