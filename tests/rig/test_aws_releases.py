"""Releases over several schemas on the shipped stack `dev`: a crash, migrations, and the way back by a restore.

Real MLflow of up to three versions by the real engine on the rig; the tests stand in the order of one life
(tests/rig/aws/life.py).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.contract import ExitCode
from mlflow_backend.releases.stores import DUMPS
from mlflow_backend.schema_tables import required_heads
from tests.matrices import rows
from tests.rig.aws.life import Life, begin

if TYPE_CHECKING:
    from tests.rig.aws.rig import AwsRig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

OLD, MIDDLE, NEW = "2.9.2", "3.4.0", "3.17.2"
CRASHING, LATER_CRASHING = "crashing", "later-crashing"
_RUNS, _LATER = 3, 2


@pytest.fixture(scope="module")
def life(server_rig: AwsRig, tmp_path_factory: pytest.TempPathFactory) -> Life:
    """The stack at the oldest version, written to, in an account that has the images of the others."""
    folder = tmp_path_factory.mktemp("releases")
    broken = {CRASHING: (OLD, "crash"), LATER_CRASHING: (MIDDLE, "crash")}
    made = begin(server_rig, folder, OLD, others=(MIDDLE, NEW), broken=broken)
    made.client("write", "before", str(_RUNS))
    made.kept["before"] = made.client("read")
    return made


def test_the_oldest_version_is_verified(life: Life) -> None:
    """The life begins with MLflow 2.9.2 behind its balancer, verified, on its own schema."""
    outputs = life.stack.outputs()
    assert outputs["verification"]["verdict"] == "pass", outputs["verification"]["table"]
    assert (outputs["release"]["revision"], outputs["release"]["mlflowVersion"]) == ("1", OLD)
    assert len(life.kept["before"]["experiments"]["before"]["runs"]) == _RUNS
    life.only("1")


def test_the_plan_of_an_upgrade_counts_by_a_task_where_artifacts_are(life: Life) -> None:
    """The database is private: its tool counts the runs there too, which no search of MLflow would count by root."""
    planned = life.stack.script("upgrade", "--to", NEW, "--json")
    assert planned.code == ExitCode.DONE, planned.text
    found = json.loads(planned.text[planned.text.index("{") :])
    assert found["locationsNotAsked"] == ""
    assert {*found["boundLocations"]} == {"experiments", "runs", "model_versions"}


def crashed(life: Life, version: str, tag: str) -> str:
    """Ask for an image whose server ends at once; the first revision serves with all its data. Return what was said."""
    life.only("1")
    life.serve(version, tag)
    outcome = life.stack.up()
    assert not outcome.ok, outcome.text
    assert "boom: cannot start" in outcome.text, outcome.text
    life.only("1")
    assert life.client("read") == life.kept["before"]
    return outcome.text


def test_an_update_that_crashes_is_red_and_the_old_revision_serves(life: Life) -> None:
    """ECS gives up on it and goes back; the update fails with the container's own end as the cause. Nothing is lost."""
    text = crashed(life, OLD, CRASHING)
    assert "tasks failed to start." in text, text
    assert not life.ledger.read().knows("2")


def test_a_migration_is_undone_where_the_new_image_crashes(life: Life) -> None:
    """ECS may not go back over it, for the old server has no schema to start on: the update restores, as was wished."""
    life.stack.write_settings(migrate={"onFailure": "restore"})
    text = crashed(life, MIDDLE, LATER_CRASHING)
    assert "was restored, and revision 1 serves again." in text, text


@pytest.mark.parametrize("version", rows((MIDDLE, NEW), shown=(NEW,)))
def test_an_upgrade_migrates_and_loses_nothing(life: Life, version: str) -> None:
    """One update: dump, migration by a one-shot task, the new task, verified; what was written is what is read."""
    before = str(life.stack.outputs()["release"]["mlflowVersion"])
    life.stack.serve(version)
    life.stack.must_up()
    outputs, heads = life.stack.outputs(), required_heads(version, auth=True)
    assert outputs["verification"]["verdict"] == "pass", outputs["verification"]["table"]
    assert heads is not None
    assert outputs["release"]["mlflowVersion"] == version
    assert outputs["release"]["schemaHead"] == heads.tracking
    life.kept["new"] = outputs["release"]["revision"]
    life.only(life.kept["new"])
    assert life.ledger.read().dumps[-1].heads == required_heads(before, auth=True)
    assert life.client("read") == life.kept["before"]


@pytest.mark.parametrize("how", ["--dry-run", "--yes"])
def test_without_restore_the_way_back_is_refused(life: Life, how: str) -> None:
    """Exit code 3 with the schema and the option named; service, task and ledger are as they were."""
    before = life.only(life.kept["new"]), life.ledger.read()
    refused = life.stack.script("rollback", "--to", "1", how)
    assert refused.code == ExitCode.REFUSED, refused.text
    assert "needs a RESTORE" in refused.text
    assert "--restore" in refused.text
    assert (life.only(life.kept["new"]), life.ledger.read()) == before


def test_with_damaged_dumps_alone_there_is_no_way_back(life: Life) -> None:
    """Each dump of that schema is held to its checksum: BLOCKED with `--restore` too, and nothing is touched."""
    before = life.only(life.kept["new"]), life.ledger.read()
    s3, bucket = life.rig.client("s3"), life.naming.bucket("data")
    dumps = [each for each in before[1].dumps if each.heads == required_heads(OLD, auth=True)]
    keys = [f"{DUMPS}/{dump.id}/{each.object}" for dump in dumps for each in dump.databases.values()]
    whole = {key: s3.get_object(Bucket=bucket, Key=key)["Body"].read() for key in keys}
    try:
        for key, content in whole.items():
            s3.put_object(Bucket=bucket, Key=key, Body=content[:-1] + bytes([content[-1] ^ 1]))
        refused = life.stack.script("rollback", "--to", "1", "--restore", "--yes")
    finally:
        for key, content in whole.items():
            s3.put_object(Bucket=bucket, Key=key, Body=content)
    assert refused.code == ExitCode.REFUSED, refused.text
    assert "is BLOCKED" in refused.text
    assert (life.only(life.kept["new"]), life.ledger.read()) == before


def test_a_restore_goes_back_with_the_losses_counted(life: Life) -> None:
    """What is lost is announced, then gone; the oldest task alone serves, verified and pinned."""
    for _ in range(_LATER):
        life.call("runs/create", {"experiment_id": "0", "start_time": 1})
    dry = life.stack.script("rollback", "--to", "1", "--restore", "--dry-run", "--json")
    assert dry.code == ExitCode.DONE, dry.text
    # Those of the verifications since are counted too.
    announced = json.loads(dry.text)["losses"]
    assert announced["runs"] >= _LATER, announced
    life.only(life.kept["new"])
    done = life.stack.script("rollback", "--to", "1", "--restore", "--yes", "--reason", "a test")
    assert done.code == ExitCode.DONE, done.text
    assert "serves and is pinned; verified" in done.text
    assert f"{announced['runs']} runs" in done.text.rpartition("Lost: ")[2]
    life.only("1")
    pin = life.ledger.state().pin
    assert pin is not None
    assert (pin.revision, pin.reason) == ("1", "a test")
    assert life.client("read") == life.kept["before"]


def test_the_state_agrees_with_the_rollback(life: Life) -> None:
    """A refreshing preview would touch neither the service nor its task definition, and no task was replaced."""
    before = life.only("1")
    planned = life.planned()
    assert ("same", "mlflow-service-service") in planned, planned
    assert {operation for operation, _ in planned} <= {"same", "refresh"}, planned
    assert life.only("1") is before


def test_an_update_under_the_pin_ends_red_and_says_why(life: Life) -> None:
    """The settings still ask for the newest version: it is withheld, with the pin's reason, and nothing is migrated."""
    before = life.only("1")
    outcome = life.stack.up("--refresh")
    assert not outcome.ok, outcome.text
    assert "pinned to 1 since" in outcome.text
    assert "because a test" in outcome.text
    assert life.only("1") is before


def test_the_pin_is_lifted(life: Life) -> None:
    """`--unpin` changes the ledger and no task."""
    before = life.only("1")
    lifted = life.stack.script("rollback", "--unpin")
    assert lifted.code == ExitCode.DONE, lifted.text
    assert life.ledger.state().pin is None
    assert life.only("1") is before
