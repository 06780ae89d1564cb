"""Updates within one schema on the shipped stack `dev`: a rotated password, and a server that is healthy and no use.

Real MLflow by the real engine on the rig; the tests stand in the order of one life (tests/rig/aws/life.py).
"""

from __future__ import annotations

import json
import secrets
from typing import TYPE_CHECKING

import psycopg2
import pytest

from mlflow_backend.contract import ExitCode
from tests.rig.aws.life import Life, begin

if TYPE_CHECKING:
    from tests.rig.aws.rig import AwsRig

pytestmark = [pytest.mark.full, pytest.mark.slow, pytest.mark.timeout(900)]

VERSION, USELESS = "2.9.2", "useless"
_RUNS = 3


@pytest.fixture(scope="module")
def life(server_rig: AwsRig, tmp_path_factory: pytest.TempPathFactory) -> Life:
    """The stack, written to."""
    made = begin(server_rig, tmp_path_factory.mktemp("updates"), VERSION, broken={USELESS: (VERSION, "")})
    made.client("write", "before", str(_RUNS))
    made.kept["before"] = made.client("read")
    return made


def logged_in(life: Life, password: str) -> bool:
    """Return whether the server's role may log in to the database with a password."""
    database = life.rig.databases.running[life.naming.database()]
    try:
        return bool(database.execute("mlflow", "SELECT 1", user="mlflow", password=password))
    except psycopg2.OperationalError as error:
        if "password authentication failed" in str(error):
            return False
        raise


def test_a_rotated_password_reaches_the_server(life: Life) -> None:
    """One update after the secret's new version: the role has it, the old one opens nothing, nobody notices."""
    before = life.secrets["database-password"]
    rotated = {**life.secrets, "database-password": secrets.token_hex(16)}
    life.rig.client("secretsmanager").put_secret_value(
        SecretId=life.naming.secret("server"), SecretString=json.dumps(rotated)
    )
    assert logged_in(life, before)
    life.stack.must_up()
    assert life.stack.outputs()["verification"]["verdict"] == "pass"
    life.only("2")
    assert logged_in(life, rotated["database-password"])
    assert not logged_in(life, before)
    assert life.client("read") == life.kept["before"]


def test_a_server_that_is_healthy_and_no_use_is_red(life: Life) -> None:
    """ECS is content with it, so it serves on unless the settings say otherwise; the update names what fails."""
    life.serve(VERSION, USELESS)
    outcome = life.stack.up()
    assert not outcome.ok, outcome.text
    assert "does not pass its verification" in outcome.text, outcome.text
    assert "Rolled back" not in outcome.text
    life.only("3")
    assert not life.ledger.read().knows("3")


def test_it_is_rolled_back_to_before_the_rotation(life: Life) -> None:
    """Two revisions back on the same schema: SAFE, verified with the password of today, pinned, and nothing is lost."""
    dry = life.stack.script("rollback", "--to", "1", "--dry-run")
    assert dry.code == ExitCode.DONE, dry.text
    assert "SAFE" in dry.text
    life.only("3")
    done = life.stack.script("rollback", "--to", "1", "--yes", "--reason", "no use")
    assert done.code == ExitCode.DONE, done.text
    assert "Revision 1 (MLflow 2.9.2) serves and is pinned; verified." in done.text
    task = life.only("1")
    assert life.client("read") == life.kept["before"]
    planned = life.planned()
    assert ("same", "mlflow-service-service") in planned, planned
    assert {operation for operation, _ in planned} <= {"same", "refresh"}, planned
    assert life.only("1") is task
    lifted = life.stack.script("rollback", "--unpin")
    assert lifted.code == ExitCode.DONE, lifted.text


def test_an_update_rolls_back_by_itself_if_the_settings_ask_for_it(life: Life) -> None:
    """To the newest verified one. It is red all the same, says so, and blocks the release that failed.

    The pin was lifted, and nothing is refreshed: what the settings ask for is served although Pulumi's state has it.
    """
    life.stack.write_settings(verify={"onFailure": "rollback"})
    outcome = life.stack.up()
    assert not outcome.ok, outcome.text
    assert "Rolled back by itself: Revision 2 (MLflow 2.9.2) serves; verified." in outcome.text, outcome.text
    life.only("2")
    state = life.ledger.state()
    assert state.pin is None
    assert [(each.revision, each.instead) for each in state.blocks] == [("3", "2")]
    assert life.client("read") == life.kept["before"]


def test_what_failed_is_withheld_from_the_next_update(life: Life) -> None:
    """It ends red with the reason, and no task is touched."""
    before = life.only("2")
    outcome = life.stack.up("--refresh")
    assert not outcome.ok, outcome.text
    assert "as revision 3 this release failed its verification" in outcome.text
    assert life.only("2") is before


def test_another_release_is_served_again(life: Life) -> None:
    """Nothing has to be lifted: the block is on the release that failed."""
    life.serve(VERSION, VERSION)
    life.stack.must_up("--refresh")
    life.only(life.stack.outputs()["release"]["revision"])
    assert life.client("read") == life.kept["before"]
