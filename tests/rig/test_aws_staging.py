"""The shipped stack `staging` by the real engine: several zones, HTTPS, protected, scaled, with access logs.

Containers that start at once stand for MLflow, as in test_aws_life.py.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

import pytest

from components.ecs.render.place import Place
from tests.engine.stack import nothing_changed
from tests.rig.aws.stack import AwsStack
from tests.rig.test_aws_life import PROGRAM
from tests.rig.test_aws_previews import Account, certify

if TYPE_CHECKING:
    from tests.rig.aws.rig import AwsRig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def staging(rig: AwsRig, tmp_path_factory: pytest.TempPathFactory) -> AwsStack:
    """The stack, deployed with an image that was verified on `dev` two days ago."""
    made = AwsStack(tmp_path_factory.mktemp("staging") / "stack", rig, "staging", program=PROGRAM)
    certify(rig, made)
    made.write_settings(aws={"artifacts": {"accessLogs": True}})
    account = Account(rig, made, made)
    account.verified(account.push(), ago=timedelta(days=2))
    made.must_up()
    return made


@pytest.fixture(scope="module")
def place(rig: AwsRig) -> Place:
    """The stack's names."""
    return Place(project="mlflow-backend", stack="staging", account=rig.account, region=rig.region)


def test_it_is_what_the_settings_say(staging: AwsStack, rig: AwsRig, place: Place) -> None:
    """Two tasks, two cache nodes, a database in two zones that keeps itself, and HTTPS."""
    assert [each.definition.family for each in rig.live_tasks] == [place.family("server")] * 2
    (cache,) = rig.client("elasticache").describe_replication_groups()["ReplicationGroups"]
    assert len(cache["MemberClusters"]) == 2
    (database,) = rig.client("rds").describe_db_instances()["DBInstances"]
    assert database["MultiAZ"]
    assert database["DeletionProtection"]
    elb = rig.client("elbv2")
    (balancer,) = elb.describe_load_balancers()["LoadBalancers"]
    listeners = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    assert {(each["Port"], each["Protocol"]) for each in listeners} == {(80, "HTTP"), (443, "HTTPS")}
    logged = rig.client("s3").get_bucket_logging(Bucket=place.bucket("data"))
    assert logged["LoggingEnabled"]["TargetBucket"] == place.bucket("logs")


def test_a_refresh_changes_nothing(staging: AwsStack, rig: AwsRig) -> None:
    """What was made is found as it was made: no resource differs, and no task is replaced."""
    before = rig.live_tasks
    outcome = staging.must_up("--refresh")
    assert nothing_changed(outcome.text), outcome.text
    assert rig.live_tasks == before
