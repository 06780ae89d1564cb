"""Every file of a local stack's credentials, damaged in every way: made anew, or named with a way out."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import psycopg2
import pytest

from mlflow_backend.backup import bundle
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.local import api_keys, credentials, ports, services
from mlflow_backend.local.database import Database
from mlflow_backend.local.naming import DATABASE, ROLE
from mlflow_backend.local.provider import CredentialsProvider, ServiceProvider, SupervisorProvider
from mlflow_backend.local.state import StateDir
from mlflow_backend.local.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def names(folder: Path) -> list[str]:
    """Return every file that a stack has there, so that a new one is tried too."""
    made = StateDir(folder / "listed")
    credentials.ensure(made)
    return sorted(path.name for path in made.credentials.iterdir())


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "deleted": lambda path: path.unlink(),
    "empty": lambda path: path.write_text(""),
    "blank": lambda path: path.write_text(" \n"),
    "binary": lambda path: path.write_bytes(b"\x00\xff\xfe"),
    "two lines": lambda path: path.write_text("g4rbage\ng4rbage-g4rbage\n"),
    "another value": lambda path: path.write_text("g4rbage-g4rbage-g4rbage"),
    "quotes and comments": lambda path: path.write_text("g4rbage',\" ;%(x)s/@:#"),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "open to all": lambda path: path.chmod(0o666),
}
NEVER_RENEWED = {bundle.FILE}


@pytest.mark.parametrize("damage", DAMAGES)
def test_each_damaged_file_is_made_anew_or_named_with_a_way_out(tmp_path: Path, damage: str) -> None:
    """After it all that belongs together does so, or one message names the file and shows nothing of any value."""
    listed = names(tmp_path)
    assert set(credentials.GENERATED) | NEVER_RENEWED | {api_keys.FILE, "salt"} <= set(listed)
    for name in listed:
        state = StateDir(tmp_path / f"{damage}-{name}")
        credentials.ensure(state)
        secret = {each: credentials.read(state, each) for each in credentials.GENERATED}
        DAMAGES[damage](state.credentials / name)
        try:
            versions, refusal = credentials.ensure(state), None
        except PlatformFailed as failure:
            versions, refusal = {}, failure
        if refusal is not None:
            refused_rightly(refusal, state.credentials / name, damage, secret)
        else:
            assert name not in NEVER_RENEWED or damage == "open to all", name
            assert versions.keys() == set(credentials.ALL), name
            made_anew_rightly(state)
            assert credentials.ensure(state) == versions, name


def refused_rightly(refusal: PlatformFailed, path: Path, damage: str, secret: dict[str, str]) -> None:
    """Hold a refusal to its promises; a file that can be made anew is not refused for being gone or empty."""
    assert str(path) in str(refusal)
    assert refusal.fix, path.name
    assert not any(value in str(refusal) for value in (*secret.values(), "g4rbage")), path.name
    gone = damage in {"deleted", "blank", "empty", "open to all"}
    assert not gone or path.name in {*NEVER_RENEWED, api_keys.FILE}, path.name


def made_anew_rightly(state: StateDir) -> None:
    """Hold what belongs together to belonging together."""
    assert {path.stat().st_mode & 0o777 for path in state.credentials.iterdir()} == {0o600}
    own = [entry for entry in api_keys.entries(state) if entry["name"] == api_keys.OWN]
    assert [api_keys.matches(entry, credentials.read(state, credentials.API_KEY)) for entry in own] == [True]
    access, secret = (credentials.read(state, name) for name in (credentials.STORE_ACCESS, credentials.STORE_SECRET))
    assert f'"{access},{secret}"' in credentials.read(state, credentials.STORE_ACCEPTED)
    assert credentials.read(state, credentials.ADMIN_USER) == credentials.ADMIN_NAME


INPUTS: dict[str, dict[str, Any]] = {"database": {"maxConnections": 20}, "cache": {}, "store": {}}
OF_SERVICES = (
    credentials.CACHE,
    credentials.DATABASE,
    credentials.DATABASE_ADMIN,
    credentials.STORE_ACCEPTED,
    credentials.STORE_ACCESS,
    credentials.STORE_OPERATOR_SECRET,
    credentials.SUPERVISOR,
)


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[StateDir]:
    """A stack's services with a row in the database, without an MLflow server."""
    state = StateDir(tmp_path_factory.mktemp("damaged") / "stack")
    try:
        update(state)
        execute(state, "CREATE TABLE kept AS SELECT 7 AS value")
        yield state
    finally:
        Supervisor(state).shutdown(timeout_s=30)


def update(state: StateDir) -> None:
    """Do what an update does of credentials and services, in its order."""
    credentials.ensure(state)
    Supervisor(state).start()
    for name, inputs in INPUTS.items():
        services.apply(state, name, inputs)


def execute(state: StateDir, statement: str) -> None:
    """Run a statement as the server's own role."""
    password = credentials.read(state, credentials.DATABASE)
    port = ports.known(state)["database"]
    with psycopg2.connect(host="127.0.0.1", port=port, user=ROLE, password=password, dbname=DATABASE) as connection:
        connection.cursor().execute(statement)
    connection.close()


@pytest.mark.parametrize("stopped", [False, True], ids=["running", "stopped"])
@pytest.mark.parametrize("name", OF_SERVICES)
def test_services_take_over_a_credential_that_was_made_anew_and_keep_their_data(
    running: StateDir, name: str, *, stopped: bool
) -> None:
    """Running or stopped, with data there: the update ends with everything reachable, not with a time-out."""
    if stopped:
        Supervisor(running).shutdown(timeout_s=30)
    (running.credentials / name).unlink()
    update(running)
    for service, inputs in INPUTS.items():
        assert services.condition(running, service, inputs) == services.RUNNING
    execute(running, "SELECT value FROM kept")


def test_a_password_with_quotes_reaches_the_administrator(running: StateDir) -> None:
    """Whoever writes a value of their own into the file gets that one, and no statement of theirs is run."""
    path = running.credentials / credentials.DATABASE_ADMIN
    path.write_text("it's \\ '; DROP DATABASE mlflow; --")
    update(running)
    assert services.condition(running, Database.name, INPUTS["database"]) == services.RUNNING
    execute(running, "SELECT value FROM kept")


@pytest.mark.parametrize("damage", ["deleted", "a folder", "binary"])
def test_a_refresh_finds_a_damaged_credential_instead_of_failing(tmp_path: Path, damage: str) -> None:
    """A refresh comes before the update that fixes it: one that fails would let neither `up` nor `down` begin."""
    state = StateDir(tmp_path / "stack")
    credentials.ensure(state)
    ports.choose(state, Database.name)
    props = {"state": str(state.path), "service": Database.name, **INPUTS["database"], "versions": {}}
    for name in names(tmp_path):
        DAMAGES[damage](state.credentials / name)
    for provider in (CredentialsProvider(), ServiceProvider(), SupervisorProvider()):
        found = provider.read("id", props)
        assert (found.outs or {})["condition"] != services.RUNNING
