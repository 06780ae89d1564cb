"""The identity of database and store, as a server makes, keeps and tells it, on real Postgres and S3."""

from __future__ import annotations

import json
import threading
import uuid
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from mlflow_backend_server.db import addresses, chains
from mlflow_backend_server.health import artifacts
from mlflow_backend_server.health.identity import OBJECT, Identities
from mlflow_backend_server.health.states import Away

from mlflow_backend import identity as deployer
from tests.server.environments import python

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.server.environments import Tool
    from tests.server.services import Postgres, Services

DESTINATION = "s3://mlflow/artifacts"


@pytest.fixture
def databases(postgres: Postgres, database: str) -> addresses.Databases:
    """The test's databases, that of users among them."""

    def parsed(name: str) -> addresses.Address:
        return addresses.parse(postgres.uri(name).replace("mlflow@", f"mlflow:{postgres.password}@"), source="the test")

    return addresses.Databases(tracking=parsed(database), auth=parsed(f"{database}_auth"))


def told(databases: addresses.Databases, stored: bytes | None = None) -> dict[str, Any]:
    """What a server that was just started says."""
    return Identities(databases, lambda: stored).document()


def _chains(version: str) -> dict[str, chains.Chain]:
    """The chains of an installed MLflow."""
    (package,) = (python(version).parents[1] / "lib").glob("python3.*/site-packages/mlflow")
    return chains.read_chains(package)


def _heads(server: Identities) -> dict[str, str | None]:
    """The schema heads that a server says."""
    document = server.document()
    return {"tracking": document["database"]["head"], "auth": document["users"]["head"]}


def test_both_sides_name_the_same_object() -> None:
    """The deployer writes the object that the server reads."""
    assert deployer.OBJECT == OBJECT


def test_a_database_keeps_the_identity_that_its_first_server_made(databases: addresses.Databases) -> None:
    """Every later server says the same, and each database has its own."""
    first = told(databases)
    assert first["store"] is None
    assert first == told(databases)
    assert first["database"]["id"] != first["users"]["id"]


def test_servers_that_ask_at_the_same_time_agree(databases: addresses.Databases) -> None:
    """Of many that make the identity at once, one does."""
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(told(databases)["database"]["id"])) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == len(threads)
    assert len(set(found)) == 1


def test_an_identity_that_is_lost_under_a_server_is_not_made_again_by_it(
    databases: addresses.Databases, postgres: Postgres
) -> None:
    """A database that was emptied or replaced shows by its loss; a new server gives it another identity."""
    server = Identities(databases, lambda: None)
    before = server.document()
    postgres.execute(databases.tracking.name, "DROP SCHEMA mlflow_backend CASCADE")
    assert server.document()["database"] is None
    assert told(databases)["database"]["id"] != before["database"]["id"]


def test_a_database_remembers_the_store_that_names_it_and_no_other(databases: addresses.Databases) -> None:
    """The store's word binds its own database, whatever is said by the store of another."""
    own = told(databases)["database"]["id"]
    store, other = str(uuid.uuid4()), str(uuid.uuid4())
    assert told(databases, deployer.object_of(store, own))["database"] == {"id": own, "store": store}
    assert told(databases)["database"]["store"] == store
    assert told(databases, deployer.object_of(other, str(uuid.uuid4())))["database"]["store"] == store
    assert told(databases, deployer.object_of(other, deployer.ANY))["database"]["store"] == other


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"null", b"\xff", b"{}", b'{"id": 1, "database": "*"}', b'{"id": "x", "database": "*"}',
     json.dumps({"id": "'; DROP TABLE runs; --", "database": "*"}).encode()],
)  # fmt: skip
def test_garbage_in_the_stores_object_is_said_and_reaches_no_statement(
    databases: addresses.Databases, content: bytes
) -> None:
    """What is no identity is refused with the object's name."""
    with pytest.raises(Away, match=OBJECT):
        told(databases, content)


def test_the_object_is_read_with_the_servers_own_key(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    """An object that is not there is no error; a store that refuses is."""
    for name, value in services.store.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    read = artifacts.reading(DESTINATION, OBJECT)
    assert read() is None
    client = artifacts._s3_client()
    client.put_object(Bucket="mlflow", Key=f"artifacts/{OBJECT}", Body=b"it")
    assert read() == b"it"
    client.delete_object(Bucket="mlflow", Key=f"artifacts/{OBJECT}")
    with pytest.raises(Away):
        artifacts.reading("s3://no-such-bucket/artifacts", OBJECT)()


def test_a_database_without_room_for_an_identity_is_said(databases: addresses.Databases, postgres: Postgres) -> None:
    """A database that takes no writes answers with a sentence, not with an error of the driver."""
    name = databases.tracking.name
    postgres.execute("postgres", f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    with pytest.raises(Away, match=name):
        told(databases)


@pytest.mark.parametrize("known", [False, True], ids=["dump of before the identity", "dump with it"])
def test_a_restore_keeps_the_identity(
    tool: Callable[..., Tool], databases: addresses.Databases, postgres: Postgres, *, known: bool
) -> None:
    """A restored database is known as the one it replaces, also by a dump that has no identity.

    All the while a server of the old version says at which head the database is, after the newer one's upgrade too.
    """
    older, newer = (_chains(version) for version in ("2.9.2", "3.17.2"))
    made = tool("2.9.2", auth=True)
    assert made.run("upgrade").code == 0
    if known:
        told(databases)
    dump = made.run("dump", "--to", "s3://mlflow/_backend/dumps").report["address"]
    before = told(databases)
    # MLflow's newest still finds the schema that it knows beside ours.
    newest = tool("3.17.2", auth=True)
    server = Identities(databases, lambda: None, chains=older)
    assert _heads(server) == {name: chain.head for name, chain in older.items()}
    assert newest.run("upgrade").code == 0
    assert newest.run("check").code == 0
    assert _heads(server) == {name: chain.head for name, chain in newer.items()}
    assert newest.run("restore", "--from", dump).code == 0
    assert told(databases) == before
    assert made.run("check").code == 0
    assert _heads(server) == {name: chain.head for name, chain in older.items()}
    postgres.execute(databases.tracking.name, "INSERT INTO alembic_version VALUES ('another')")
    assert _heads(server)["tracking"] is None


def test_the_dump_of_another_backend_brings_its_own_identity(
    tool: Callable[..., Tool], databases: addresses.Databases, postgres: Postgres
) -> None:
    """What is restored over an emptied database is what it was before, not what took its place meanwhile."""
    made = tool("2.9.2", auth=True)
    assert made.run("upgrade").code == 0
    before = told(databases)
    dump = made.run("dump", "--to", "s3://mlflow/_backend/dumps").report["address"]
    postgres.execute(databases.tracking.name, "DROP SCHEMA mlflow_backend CASCADE")
    assert told(databases)["database"]["id"] != before["database"]["id"]
    assert made.run("restore", "--from", dump).code == 0
    assert told(databases) == before
