"""The life of a stack's resources, by the real engine: unchanged, changed, drifted, imported, destroyed, protected.

The stack is the shipped `dev` with containers that start at once in MLflow's place (tests/rig/standin/program): every
AWS resource, preflight and the wait for ECS are the real program's. The tests stand in the order of a life.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

import pytest

from mlflow_backend.aws.naming import Naming
from mlflow_backend.aws.permissions import Purpose
from tests.engine.project import PULUMI
from tests.engine.stack import nothing_changed, touched
from tests.rig import contents
from tests.rig.aws.inventory import inventory
from tests.rig.aws.scene import VERSION
from tests.rig.aws.stack import PROGRAM, AwsStack
from tests.rig.faults import Fault, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.rig.aws.rig import AwsRig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

_BY_HAND: Final = "/made/by/hand"


class Life:
    """A stack on a rig, and what the account held before it."""

    def __init__(self, stack: AwsStack, rig: AwsRig) -> None:
        """Deploy it."""
        self.stack, self.rig = stack, rig
        self.naming = Naming(project="mlflow-backend", stack="dev", account=rig.account, region=rig.region)
        # The deploy role is there before its stack, and outlives it.
        stack.credentials(Purpose.DEPLOY)
        self.before = inventory(rig)
        stack.must_up()

    def left(self) -> set[tuple[str, str]]:
        """Return what the stack added to the account and is still there, by kind and name."""
        return inventory(self.rig) - self.before

    def refreshed(self) -> str:
        """Look at everything, fix what differs, and return what was said."""
        return self.stack.must_up("--refresh").text


@pytest.fixture(scope="module")
def life(rig: AwsRig, tmp_path_factory: pytest.TempPathFactory) -> Life:
    """The stack, deployed into an empty account that has the image."""
    rig.images.publish(VERSION, contents.small(version=VERSION), labels=contents.labels(VERSION))
    return Life(AwsStack(tmp_path_factory.mktemp("life") / "stack", rig, program=PROGRAM), rig)


def test_it_serves(life: Life) -> None:
    """What was made is more than records: one task runs, with its database and its cache."""
    (task,) = life.rig.live_tasks
    assert task.definition.family == life.naming.family("server")
    assert list(life.rig.databases.running) == [life.naming.database()]
    assert len(life.rig.caches.running) == 1


def open_bucket(life: Life) -> None:
    """Take the block of public access off the bucket."""
    closed = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), False)
    bucket = life.naming.bucket("data")
    life.rig.client("s3").put_public_access_block(Bucket=bucket, PublicAccessBlockConfiguration=closed)


def widen_role(life: Life) -> None:
    """Let the server's role do everything with S3."""
    iam, role = life.rig.client("iam"), life.naming.role("server")
    name = iam.list_role_policies(RoleName=role)["PolicyNames"][0]
    everything = {"Effect": "Allow", "Action": "s3:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [everything]})
    iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=document)


def delete_alarms(life: Life) -> None:
    """Delete one alarm."""
    watch = life.rig.client("cloudwatch")
    watch.delete_alarms(AlarmNames=[watch.describe_alarms()["MetricAlarms"][0]["AlarmName"]])


def drifted(by_hand: Callable[[Life], None]) -> Callable[[Life], str]:
    """Return what changes something by hand, and says what a refresh found."""

    def broken(life: Life) -> str:
        by_hand(life)
        return life.refreshed()

    return broken


DRIFT: Final = (
    Fault(
        name="bucket-opened",
        mechanism="somebody takes the block of public access off the bucket",
        cause="aws:s3:BucketPublicAccessBlock",
        broken=drifted(open_bucket),
        control=Life.refreshed,
    ),
    Fault(
        name="role-widened",
        mechanism="somebody lets the server's role do everything with S3",
        cause="aws:iam:RolePolicy",
        broken=drifted(widen_role),
        control=Life.refreshed,
    ),
    Fault(
        name="alarm-deleted",
        mechanism="somebody deletes an alarm",
        cause="aws:cloudwatch:MetricAlarm",
        broken=drifted(delete_alarms),
        control=Life.refreshed,
    ),
)


def test_without_drift_a_refresh_changes_nothing(life: Life) -> None:
    """The control of every row: what was just made is found as it was made, and no task is replaced."""
    before = life.rig.live_tasks
    text = DRIFT[0].control(life)
    assert nothing_changed(text), text
    assert life.rig.live_tasks == before


@table(DRIFT)
def test_drift_by_hand_is_found_and_mended(life: Life, fault: Fault[Life]) -> None:
    """An update that refreshes names the resource that differs, changes it alone, and says so."""
    text = fault.broken(life)
    (changed,) = touched(text)
    assert fault.cause in changed
    assert not nothing_changed(text)


def test_a_change_in_place_and_a_replacement(life: Life) -> None:
    """Log groups are updated; a task definition has no update, so the next revision serves, and the old task ends."""
    (old,) = life.rig.live_tasks
    life.stack.write_settings(
        aws={"monitoring": {"logRetentionDays": 14}}, server={"cpu": 512, "memory": 1024}
    )  # fmt: skip
    text = life.stack.must_up().text
    assert "aws:cloudwatch:LogGroup" in text
    (new,) = life.rig.live_tasks
    assert new.definition.revision == old.definition.revision + 1
    groups = life.rig.client("logs").describe_log_groups()["logGroups"]
    assert {each["retentionInDays"] for each in groups} == {14}


def test_what_was_made_by_hand_is_imported(life: Life) -> None:
    """An import by id is enough to own a resource: the next update, which does not want it, deletes it."""
    logs = life.rig.client("logs")
    logs.create_log_group(logGroupName=_BY_HAND)
    provider = "aws=urn:pulumi:dev::mlflow-backend::pulumi:providers:aws::mlflow-aws"
    flags = ("--yes", "--generate-code=false", "--protect=false", "--provider", provider, "--stack", life.stack.name)
    imported = life.stack.pulumi("import", "aws:cloudwatch/logGroup:LogGroup", "by-hand", _BY_HAND, *flags)
    assert imported.ok, imported.text
    # By an administrator: the deploy role may delete what is named as its stack names things.
    updated = life.stack.run(str(PULUMI), "up", "--yes", "--skip-preview", "--stack", life.stack.name)
    assert updated.ok, updated.text
    assert logs.describe_log_groups(logGroupNamePrefix=_BY_HAND)["logGroups"] == []


def test_destroy_leaves_nothing(life: Life) -> None:
    """No resource, no process, no snapshot: `dev` is made to be destroyed."""
    outcome = life.stack.destroy()
    assert outcome.ok, outcome.text
    assert life.left() == set()
    assert not life.rig.live_tasks
    assert not life.rig.databases.running
    assert not life.rig.caches.running


@pytest.mark.full
def test_a_protected_backend_is_not_destroyed(life: Life) -> None:
    """With `backup.protect` a destroy is refused by name, before anything is deleted.

    The update that makes it follows a destroy at once, and Container Insights has written once more after that one.
    """
    group = life.naming.insights_group()
    life.rig.client("logs").create_log_group(logGroupName=group)
    tagged = str(life.stack.settings["server"]["image"])
    published = life.rig.images.find(tagged)
    assert published
    image = f"{tagged.rpartition(':')[0]}@{published.digest}"
    life.stack.write_settings(backup={"protect": True, "retentionDays": 7}, server={"image": image})
    life.stack.must_up()
    (found,) = life.rig.client("logs").describe_log_groups(logGroupNamePrefix=group)["logGroups"]
    assert found["retentionInDays"] == 14
    held, tasks = life.left(), life.rig.live_tasks
    outcome = life.stack.destroy()
    assert not outcome.ok
    assert "mlflow-backup.protect" in outcome.text
    assert (life.left(), life.rig.live_tasks) == (held, tasks)


@pytest.mark.full
def test_protection_is_lifted_by_its_setting(life: Life) -> None:
    """Without `backup.protect` an update lifts Pulumi's protection and RDS's; then nothing is left at all."""
    life.stack.write_settings(backup={"protect": False})
    life.stack.must_up()
    outcome = life.stack.destroy()
    assert outcome.ok, outcome.text
    assert life.left() == set()
