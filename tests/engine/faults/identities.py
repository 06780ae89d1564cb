"""Faults of another backend's parts, or emptied ones, instead of a backend's own: all answer as they should."""

from __future__ import annotations

import subprocess
import uuid
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import boto3
import psycopg2
from psycopg2.extensions import make_dsn

from mlflow_backend.deployed import DeployedBackend
from mlflow_backend.identity import OBJECT, object_of
from mlflow_backend.local import credentials, ports
from mlflow_backend.local.database import binaries
from mlflow_backend.local.naming import BUCKET, DATABASE, REGION, ROLE
from mlflow_backend.local.platform import LocalPlatform
from tests.engine.faults.scene import Fault, Scene

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager

    from mlflow_backend.local.state import StateDir
    from mlflow_backend.verify.subjects import Subject

    Play = Callable[[Scene], AbstractContextManager[Subject]]

ASIDE = f"{DATABASE}_own"
_TIMEOUT_S = 60


def known(scene: Scene) -> Subject:
    """The stack with what its ledger has recorded of it."""
    recorded = DeployedBackend(LocalPlatform(scene.stack.state)).ledger.state().identity
    assert recorded
    return replace(scene.subject, identity=recorded)


@contextmanager
def as_recorded(scene: Scene) -> Iterator[Subject]:
    """The control: the stack as it is, held to its ledger."""
    yield known(scene)


@contextmanager
def other_database(state: StateDir, identity: str | None) -> Iterator[None]:
    """Put a database of the same schema and without rows instead of the stack's own, with another identity."""
    admin(state, f"ALTER DATABASE {DATABASE} RENAME TO {ASIDE}", f"CREATE DATABASE {DATABASE} OWNER {ROLE}")
    try:
        for options in (("--schema-only",), ("--data-only", "--table=alembic_version")):
            copied(state, *options)
        if identity is None:
            ask(state, "DROP SCHEMA mlflow_backend CASCADE")
        else:
            ask(state, f"INSERT INTO mlflow_backend.identity (id) VALUES ('{identity}')")  # noqa: S608 - a UUID of ours
        yield
    finally:
        admin(state, f"DROP DATABASE {DATABASE} WITH (FORCE)", f"ALTER DATABASE {ASIDE} RENAME TO {DATABASE}")


def admin(state: StateDir, *statements: str) -> None:
    """Run statements beside the databases, as their administrator, with nobody connected to them."""
    cut = f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname IN ('{DATABASE}', '{ASIDE}')"  # noqa: S608
    # Nobody comes back between the statements: the role may not log in meanwhile.
    lines = (f"ALTER ROLE {ROLE} NOLOGIN", cut, *statements, f"ALTER ROLE {ROLE} LOGIN")
    _run(state, "postgres", "postgres", credentials.DATABASE_ADMIN, *lines)


def ask(state: StateDir, *statements: str) -> None:
    """Run statements in the tracking database, as the server's role."""
    _run(state, DATABASE, ROLE, credentials.DATABASE, *statements)


def _run(state: StateDir, database: str, user: str, password: str, *statements: str) -> None:
    connection = psycopg2.connect(_dsn(state, database, user), password=credentials.read(state, password))
    connection.autocommit = True
    try:
        with connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
    finally:
        connection.close()


def _dsn(state: StateDir, database: str, user: str) -> str:
    port = ports.known(state)["database"]
    return str(make_dsn(host=ports.LOOPBACK, port=port, user=user, dbname=database, connect_timeout=5))


def copied(state: StateDir, *options: str) -> None:
    """Copy a part of the database that was set aside into the one that replaced it."""
    environment = {"PGPASSWORD": credentials.read(state, credentials.DATABASE)}
    from_, to = _dsn(state, ASIDE, ROLE), _dsn(state, DATABASE, ROLE)
    dump = [str(binaries() / "pg_dump"), "--format=custom", "--no-owner", *options, "--dbname", from_]
    dumped = subprocess.run(dump, env=environment, stdout=subprocess.PIPE, timeout=_TIMEOUT_S, check=True)
    fill = [str(binaries() / "pg_restore"), "--no-owner", "--dbname", to]
    subprocess.run(fill, env=environment, input=dumped.stdout, timeout=_TIMEOUT_S, check=True)


def objects(state: StateDir) -> tuple[Any, list[str]]:
    """The stack's store as its operator sees it: a client, and the keys of all artifacts."""
    client = boto3.client(
        "s3",
        endpoint_url=f"http://{ports.LOOPBACK}:{ports.known(state)['store']}",
        region_name=REGION,
        aws_access_key_id=credentials.read(state, credentials.STORE_OPERATOR_ACCESS),
        aws_secret_access_key=credentials.read(state, credentials.STORE_OPERATOR_SECRET),
    )
    listed = client.list_objects_v2(Bucket=BUCKET, Prefix="artifacts/").get("Contents", [])
    return client, [item["Key"] for item in listed]


@contextmanager
def other_store(state: StateDir, identity: bytes | None) -> Iterator[None]:
    """Empty the store, and give it the identity of another; afterwards all is there again."""
    client, keys = objects(state)
    contents = {key: client.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys}
    assert f"artifacts/{OBJECT}" in contents
    for key in keys:
        client.delete_object(Bucket=BUCKET, Key=key)
    if identity is not None:
        client.put_object(Bucket=BUCKET, Key=f"artifacts/{OBJECT}", Body=identity)
    try:
        yield
    finally:
        for key, content in contents.items():
            client.put_object(Bucket=BUCKET, Key=key, Body=content)


def database(identity: str | None, subject: Callable[[Scene], Subject]) -> Play:
    """Another database, held to what `subject` says of the ledger."""

    @contextmanager
    def play(scene: Scene) -> Iterator[Subject]:
        expected = subject(scene)
        with other_database(scene.stack.state, identity):
            yield expected
        scene.recovered()

    return play


def store(identity: bytes | None, subject: Callable[[Scene], Subject]) -> Play:
    """Another store, held to what `subject` says of the ledger."""

    @contextmanager
    def play(scene: Scene) -> Iterator[Subject]:
        expected = subject(scene)
        with other_store(scene.stack.state, identity):
            yield expected

    return play


def lost(scene: Scene) -> Subject:
    """The stack after its ledger is lost: database and store are compared with each other."""
    return scene.subject


_ID, _STORE = str(uuid.uuid4()), object_of(str(uuid.uuid4()), str(uuid.uuid4()))
FAULTS = tuple(
    Fault(
        mechanism=f"{mechanism}{suffix}",
        check="identity",
        code="another-backend",
        play=play(identity, subject),
        control=as_recorded,
    )
    for suffix, subject in (("", known), (" and the ledger is lost", lost))
    for mechanism, play, identity in (
        ("an empty database of the same schema takes the place", database, None),
        ("the database of another stack takes the place", database, _ID),
        ("the store is emptied", store, None),
        ("the store of another stack takes the place", store, _STORE),
    )
)
