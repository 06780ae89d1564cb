"""What is refused before a server is started."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.deployed import DeployedBackend
from mlflow_backend.local import guard, launch, revisions, schema, switch
from mlflow_backend.local.locator import LocalLocator
from mlflow_backend.local.platform import LocalPlatform
from mlflow_backend.local.state import StateDir, write
from mlflow_backend.migrate import resource
from mlflow_backend.releases import pins
from mlflow_backend.releases.stores import FileStore
from mlflow_backend.schema import Heads
from mlflow_backend.schema_tables import required_heads
from tests.components.local.records import record

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    """A stack's folder."""
    return StateDir(tmp_path / "stack")


def test_no_server_is_started_where_the_schema_cannot_be_read(state: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that is away may come back at an older schema, which MLflow would migrate: refused, nothing begun."""
    monkeypatch.setattr(guard, "_DATABASE_WAIT_S", 0.1)
    with pytest.raises(PlatformFailed, match="does not answer, so it is not known"):
        switch.activate(state, record(1))
    assert not state.programs.exists()


def test_what_supervisord_starts_checks_the_schema_too(
    state: StateDir, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The launcher asks before it starts a revision's server; the stores, which are not servers, are not asked for."""
    monkeypatch.setattr(guard, "_DATABASE_WAIT_S", 0.1)
    server = replace(record(1), program=replace(record(1).program, argv=("/nowhere/mlflow",)))
    revisions.save(state, server)
    write(state.programs / "server-00001.json", json.dumps(server.program.manifest()))
    assert launch.main([str(state.path), "server-00001", "digest"]) != 0
    assert "launch server-00001: revision 1: the database does not answer" in capfd.readouterr().err
    guard.refuse_program(state, "database")


def test_an_update_does_nothing_while_a_rollback_is_on_its_way(state: StateDir) -> None:
    """It may have read the ledger before the rollback began: asked again before it migrates and before it switches."""
    DeployedBackend(LocalPlatform(state)).rollback.write({"to": "1", "begun": "2026-11-21T12:00:00+00:00"})
    with pytest.raises(Refused, match="rollback to revision 1"):
        pins.refuse_overtaken(FileStore(state.backend_store), "")
    locator = LocalLocator.of(state)
    with pytest.raises(Refused, match="rollback to revision 1"):
        resource.run({"locator": locator.document(), "mlflowVersion": "3.4.0", "onFailure": "stop"})


def test_what_a_killed_update_staged_is_forgotten_by_the_next(state: StateDir) -> None:
    """Killed before its promotion, a revision was never served: its folder goes, and the one that serves stays."""
    served, staged = record(1), record(2, port=20_002)
    for each in (served, staged):
        revisions.save(state, each)
    write(state.active, served.address)
    write(state.candidate, staged.address)
    switch.clear_up(state)
    assert revisions.list_all(state) == (served,)
    assert not state.candidate.exists()


def test_a_revision_that_was_promoted_is_not_forgotten(state: StateDir) -> None:
    """Killed right after the switch: both addresses name the revision that users meet."""
    served = record(1)
    revisions.save(state, served)
    write(state.active, served.address)
    write(state.candidate, served.address)
    switch.clear_up(state)
    assert revisions.active(state) == served
    assert not state.candidate.exists()


def test_nothing_is_left_of_a_revision_that_could_not_be_started(
    state: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its folder, and the address by which it would be found after a kill."""
    monkeypatch.setattr(guard, "_DATABASE_WAIT_S", 0.1)
    switch.write_candidate(state, record(1))
    with pytest.raises(PlatformFailed, match="does not answer"):
        switch.stage(state, record(1))
    assert revisions.list_all(state) == ()
    assert not state.candidate.exists()


def test_the_active_revision_keeps_its_program_if_it_cannot_be_started_again(
    state: StateDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The supervisor goes on trying, and it serves as soon as the database is back; another one's program goes."""
    monkeypatch.setattr(guard, "_DATABASE_WAIT_S", 0.1)
    active, other = record(1), record(2, port=20_002)
    for each in (active, other):
        revisions.save(state, each)
        write(state.programs / f"{each.program.name}.json", json.dumps(each.program.manifest()))
    write(state.active, active.address)
    for each in (active, other):
        with pytest.raises(PlatformFailed, match="does not answer"):
            switch.activate(state, each)
    assert [path.name for path in state.programs.iterdir()] == [f"{active.program.name}.json"]


@pytest.mark.parametrize(
    ("tracking", "auth", "starts"),
    [("3.17.2", None, True), ("3.17.2", "3.17.2", True), ("3.4.0", None, False), ("3.17.2", "other", False)],
)
def test_a_server_starts_at_the_heads_of_both_databases_alone(
    state: StateDir, monkeypatch: pytest.MonkeyPatch, *, tracking: str, auth: str | None, starts: bool
) -> None:
    """MLflow migrates each of them while it starts; without a schema of users there is none to migrate."""
    wanted, users = required_heads(tracking, auth=True), required_heads("3.17.2", auth=True)
    assert wanted is not None
    assert users is not None
    of_users = {None: None, "3.17.2": users.auth, "other": "0123456789ab"}
    monkeypatch.setattr(schema, "answered_heads", lambda _state: Heads(tracking=wanted.tracking, auth=of_users[auth]))
    if starts:
        guard.refuse_other_schema(state, record(1))
    else:
        with pytest.raises(PlatformFailed) as refused:
            guard.refuse_other_schema(state, record(1))
        assert refused.value.code == "guard-schema"
