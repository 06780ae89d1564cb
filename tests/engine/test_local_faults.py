"""Faults in a local stack: each fails the update with the right cause, leaves nothing half-started, and is fixed.

Every fault is injected into one running stack, and every test ends with the green `up` that fixes it.
"""

from __future__ import annotations

import contextlib
import shutil
import socket
from typing import TYPE_CHECKING

import psutil
import psycopg2
import pytest
from psycopg2 import sql

from mlflow_backend.commands import releases
from mlflow_backend.local import credentials, ports, revisions
from mlflow_backend.local.naming import BUCKET, ROLE
from mlflow_backend.local.state import write
from mlflow_backend.local.supervisor import Supervisor
from tests.engine.calls import eventually

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.engine.stack import LocalStack

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("local-faults")]


@pytest.fixture(autouse=True)
def sound(deployed: LocalStack) -> Iterator[None]:
    """Each fault starts from a green stack and is fixed by the next good update."""
    yield
    deployed.must_up("--refresh")
    assert deployed.report()["verdict"] == "pass"


def only_the_serving_revision_runs(stack: LocalStack) -> bool:
    """Whether no process of another revision is left."""
    serving = revisions.active(stack.state)
    assert serving is not None
    names = [record.program.name for record in revisions.list_all(stack.state)]
    return not [name for name in names if name != serving.program.name and stack.processes(name)]


def failed_checks(stack: LocalStack) -> dict[str, str]:
    """Return the failed checks of the last report with their causes."""
    return {c["name"]: c["cause"] for c in stack.report()["checks"] if c["result"] == "fail"}


def test_store_credentials_that_somebody_changed_reach_store_and_server(deployed: LocalStack) -> None:
    """Both read the same file: what stands there is in force after the next update, which is verified with it."""
    path = deployed.state.credentials / credentials.STORE_SECRET
    write(path, "changed-by-hand")
    deployed.must_up()
    assert path.read_text() == "changed-by-hand"
    assert deployed.report()["verdict"] == "pass"
    assert only_the_serving_revision_runs(deployed)


def test_a_revoked_store_key_alone_runs_verification_again_and_turns_it_red(deployed: LocalStack) -> None:
    """Nothing changes but the store's list of keys: the update is red, and reverting it is checked, not 'unchanged'."""
    before = deployed.output("release")["revision"]
    credentials.accept_store_keys(deployed.state, server=False)
    outcome = deployed.up()
    assert not outcome.ok, outcome.text
    assert "key" in failed_checks(deployed)["artifact"], outcome.text
    # Still red when nothing is touched: the failed verification left no entry that could pass for a green one.
    assert not deployed.up().ok
    credentials.accept_store_keys(deployed.state, server=True)
    assert "mlflow-verification created" in deployed.must_up().text
    assert deployed.output("release")["revision"] == before


def test_a_missing_bucket_fails_the_update_and_is_named(deployed: LocalStack) -> None:
    """A bucket that vanished is named, and made again; a person accepts that its data is gone, and all is green."""
    shutil.rmtree(deployed.state.store / BUCKET)
    # The S3 server remembers folders that it has seen; a fresh one does not.
    store = Supervisor(deployed.state).status("store")
    assert store is not None
    psutil.Process(store.pid).kill()
    port = ports.known(deployed.state)["store"]
    eventually(lambda: not ports.listens(port), within_s=10, what="store ended")
    eventually(lambda: ports.listens(port), within_s=20, what="store is back")
    outcome = deployed.up()
    assert not outcome.ok, outcome.text
    assert "bucket" in failed_checks(deployed)["artifact"].lower(), outcome.text
    assert not deployed.up("--refresh").ok
    assert "identity" in failed_checks(deployed)
    assert releases.main(["--stack", deployed.name, "--accept-identity"], root=deployed.project) == 0


def test_a_wrong_database_password_fails_the_update_within_seconds_and_is_named(deployed: LocalStack) -> None:
    """A server that the database refuses never serves; the one before it goes on."""
    serving = deployed.output("release")["revision"]
    connection = psycopg2.connect(
        host=ports.LOOPBACK,
        port=ports.known(deployed.state)["database"],
        user="postgres",
        password=credentials.read(deployed.state, credentials.DATABASE_ADMIN),
        dbname="postgres",
    )
    with contextlib.closing(connection), connection, connection.cursor() as cursor:
        cursor.execute(sql.SQL("ALTER ROLE {} PASSWORD 'changed behind our back'").format(sql.Identifier(ROLE)))
    deployed.write_settings(server={"requestTimeout": 280})
    outcome = deployed.up()
    assert not outcome.ok
    assert "the database refused the server's password" in outcome.text, outcome.text
    assert "behind our back" not in outcome.text
    assert only_the_serving_revision_runs(deployed)
    active = revisions.active(deployed.state)
    assert active is not None
    assert str(active.number) == serving


def test_a_version_that_does_not_start_fails_the_update_and_names_why(deployed: LocalStack) -> None:
    """MLflow 2.9.2 cannot run on the schema of 3.17.2; the update says so, and 3.17.2 goes on serving."""
    deployed.write_settings(server={"mlflowVersion": "2.9.2"})
    outcome = deployed.up()
    deployed.write_settings(server={"mlflowVersion": "3.17.2"})
    assert not outcome.ok
    assert "newer than acf3f17fdcc7, which MLflow 2.9.2 needs" in outcome.text
    assert only_the_serving_revision_runs(deployed)
    assert deployed.must_up().ok


def test_a_version_without_a_lock_is_refused_at_preview(deployed: LocalStack) -> None:
    """What cannot be installed as locked is refused before anything is touched, with the versions that can."""
    deployed.write_settings(server={"mlflowVersion": "2.10.0"})
    preview = deployed.pulumi("preview", "--stack", deployed.name)
    deployed.write_settings(server={"mlflowVersion": "3.17.2"})
    assert not preview.ok
    assert "MLflow 2.10.0 has no lock" in preview.text
    assert "Traceback" not in preview.text


def test_a_taken_port_fails_the_update_and_is_named(deployed: LocalStack) -> None:
    """A public port that another program holds is named with the setting; the old port goes on serving, and is kept."""
    before = ports.known(deployed.state)
    with socket.socket() as other:
        other.bind((ports.LOOPBACK, 0))
        other.listen()
        port = other.getsockname()[1]
        deployed.write_settings(server={"port": port})
        outcome = deployed.up()
    assert not outcome.ok
    assert f"port {port} on 127.0.0.1 is already taken" in outcome.text
    assert "mlflow-backend:server.port" in outcome.text
    assert deployed.processes("front")
    assert ports.known(deployed.state) == before


def test_a_broken_setting_is_refused_with_its_key_and_changes_nothing(deployed: LocalStack) -> None:
    """Every problem is reported at once by its key, without a traceback."""
    deployed.write_settings(server={"worker": 2}, verify={"deadline": "soon"})
    outcome = deployed.up()
    deployed.write_settings(server={}, verify={})
    assert not outcome.ok
    assert "server.worker" in outcome.text
    assert "verify.deadline" in outcome.text
    assert "Traceback" not in outcome.text
