"""Dumps between Postgres majors: to a newer one, never to an older one, nor by clients that the server refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from mlflow_backend_server.db.majors import client_major, major, refuse_dump, refuse_restore
from mlflow_backend_server.db.verdicts import ExitCode, ToolError

from mlflow_backend.aws.render.database import ENGINE_VERSION
from mlflow_backend.findings import Outcome
from mlflow_backend.preflight.database import compared
from tests.rig.postgres import POSTGRES_BIN as NEWER_BIN
from tests.server.services import POSTGRES_BIN

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.server.environments import Tool
    from tests.server.services import Services

    MakeTool = Callable[..., Tool]

DUMPS = "s3://mlflow/_backend/dumps"


@pytest.mark.parametrize("engine", range(13, 20))
@pytest.mark.parametrize("client", range(13, 20))
def test_preflight_refuses_an_adopted_engine_exactly_if_the_tool_would_later(engine: int, client: int) -> None:
    """Later is in the middle of an upgrade, or when a rollback needs the dump."""
    refused = False
    try:
        refuse_dump(server=engine, client=client)
        refuse_restore([engine], server=engine, client=client)
    except ToolError:
        refused = True
    finding = compared(engine, client)
    assert (finding.outcome is Outcome.FAIL) == refused
    assert finding.prop == "database.existing"
    assert not refused or f"POSTGRES_CLIENT={engine}" in finding.fix


@pytest.mark.parametrize(
    ("dumped", "server", "client", "allowed"),
    [
        ([16], 16, 16, True),
        ([16, 16], 17, 17, True),
        ([15], 17, 16, True),
        ([17], 16, 16, False),
        ([16, 17], 16, 16, False),
        ([16], 16, 17, False),
        ([0], 17, 17, True),
        ([], 17, 17, True),
    ],
)
def test_a_dump_moves_to_a_newer_major_only(dumped: list[int], server: int, client: int, *, allowed: bool) -> None:
    """A dump of unknown origin is tried, as before it was written down."""
    if allowed:
        refuse_restore(dumped, server=server, client=client)
        return
    with pytest.raises(ToolError, match=f"Postgres {server}") as caught:
        refuse_restore(dumped, server=server, client=client)
    assert caught.value.code is ExitCode.UNSUPPORTED


def test_a_server_that_is_newer_than_pg_dump_is_not_dumped() -> None:
    """pg_dump would refuse it itself, after the upload had begun."""
    refuse_dump(server=16, client=17)
    with pytest.raises(ToolError, match="Postgres 18"):
        refuse_dump(server=18, client=17)


@pytest.mark.parametrize(("text", "number"), [("16.14", 16), ("pg_restore (PostgreSQL) 17.10", 17), ("", 0)])
def test_a_major_is_read_from_what_postgres_states(text: str, number: int) -> None:
    """Of servers and of programs."""
    assert major(text) == number


def test_the_major_of_an_installed_program_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two majors are installed here, by wheels: that of `local`, and the rig's, which is RDS's and the image's."""
    found = []
    for folder in (POSTGRES_BIN, NEWER_BIN):
        monkeypatch.setenv("MLFLOW_BACKEND_POSTGRES_BIN", str(folder))
        found.append(client_major("pg_restore"))
    assert found == [16, int(ENGINE_VERSION)]


def test_a_restore_that_cannot_succeed_touches_nothing(tool: MakeTool, services: Services, database: str) -> None:
    """A dump of a newer Postgres, and clients of a newer one: refused in words, with every database as it was."""
    made = tool("3.17.2")
    assert made.run("upgrade").code == 0
    address = str(made.run("dump", "--to", DUMPS).report["address"])
    there = services.postgres.names(database)
    newer = tool("3.17.2", MLFLOW_BACKEND_POSTGRES_BIN=str(NEWER_BIN)).run("restore", "--from", address)
    assert (newer.code, "Postgres 16" in newer.report["error"]) == (ExitCode.UNSUPPORTED, True)
    key = f"{address.removeprefix('s3://mlflow/')}/manifest.json"
    manifest = json.loads(services.store.client.get_object(Bucket="mlflow", Key=key)["Body"].read())
    for entry in manifest["databases"].values():
        entry["postgres_version"] = "17.2"
    services.store.client.put_object(Bucket="mlflow", Key=key, Body=json.dumps(manifest).encode())
    refused = made.run("restore", "--from", address)
    assert (refused.code, "never to an older one" in refused.report["error"]) == (ExitCode.UNSUPPORTED, True)
    assert services.postgres.names(database) == there
