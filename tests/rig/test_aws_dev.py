"""The shipped stack `dev`, as it is, by the real engine on the rig: up to verified, and what must not change it.

Real MLflow, Postgres with TLS, Valkey, and the balancer's data path. The tests share one deployment, and each leaves it
as it found it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import urllib3

from mlflow_backend.aws.naming import Naming
from mlflow_backend.aws.render.secrets import IN_FORCE
from mlflow_backend.identity import OBJECT
from mlflow_backend.offered import restart_database
from tests.engine.stack import nothing_changed
from tests.rig import contents
from tests.rig.aws.iam.enforcement import take_role
from tests.rig.aws.repairs import may
from tests.rig.aws.stack import AwsStack
from tests.server.servers import install_package
from tests.server.services import until

if TYPE_CHECKING:
    from tests.rig.aws.ecs.model import Task
    from tests.rig.aws.rig import AwsRig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

VERSION = "3.17.2"
_TWO_MINUTES_S = 120


@pytest.fixture(scope="module")
def dev(server_rig: AwsRig, tmp_path_factory: pytest.TempPathFactory) -> AwsStack:
    """The stack, deployed into an empty account that has the image, under the policy pack as `make up` does it."""
    folder = tmp_path_factory.mktemp("dev")
    package = install_package(folder / "package")
    held = contents.mlflow(VERSION, package, server_rig.authority)
    server_rig.images.publish(VERSION, held, labels=contents.labels(VERSION))
    stack = AwsStack(folder / "stack", server_rig)
    stack.must_up(*stack.policed())
    return stack


@pytest.fixture(scope="module")
def naming(server_rig: AwsRig) -> Naming:
    """The stack's names."""
    return Naming(project="mlflow-backend", stack="dev", account=server_rig.account, region=server_rig.region)


def servers(rig: AwsRig, naming: Naming) -> list[Task]:
    """Return the server's tasks that have a process."""
    return [each for each in rig.live_tasks if each.definition.family == naming.family("server")]


def test_a_fresh_up_is_verified(dev: AwsStack, server_rig: AwsRig, naming: Naming) -> None:
    """Green means that checks passed through the URL that users call, on the one task that runs the intended image."""
    outputs = dev.outputs()
    assert outputs["verification"]["verdict"] == "pass", outputs["verification"]["table"]
    (task,) = servers(server_rig, naming)
    assert outputs["release"]["revision"] == str(task.definition.revision) == "1"
    assert task.container_definition["image"].endswith(f"@{outputs['release']['imageDigest']}")
    assert server_rig.live_tasks == [task], "a one-shot task still runs"


def test_what_was_verified_is_in_the_ledger(dev: AwsStack, server_rig: AwsRig, naming: Naming) -> None:
    """The record is in the backend's own prefix, with the revision and its digest."""
    s3, name = server_rig.client("s3"), naming.bucket("data")
    keys = [each["Key"] for each in s3.list_objects_v2(Bucket=name, Prefix="_backend/ledger/")["Contents"]]
    records = [json.loads(s3.get_object(Bucket=name, Key=key)["Body"].read()) for key in keys]
    digest = dev.outputs()["release"]["imageDigest"]
    assert digest in json.dumps(records)
    # What database and store are known by, and the store's own word of it.
    known = records[-1]["state"]["identity"]
    stored = json.loads(s3.get_object(Bucket=name, Key=f"artifacts/{OBJECT}")["Body"].read())
    assert stored == {"id": known["store"], "database": known["database"]}


def test_the_server_role_is_kept_out_of_the_ledger(dev: AwsStack, server_rig: AwsRig, naming: Naming) -> None:
    """What enforces that is the deployed bucket policy and role, asked with the task's own kind of credentials."""
    (task,) = servers(server_rig, naming)
    context = {"aws:SourceAccount": server_rig.account, "aws:SourceArn": task.arn}
    arn = naming.role_arn("server")
    caller, _ = take_role(arn, service="ecs-tasks.amazonaws.com", session="test", context=context)
    s3, name = server_rig.client("s3", caller), naming.bucket("data")
    assert may(s3.list_objects_v2, Bucket=name, Prefix="artifacts/")
    assert not may(s3.list_objects_v2, Bucket=name, Prefix="_backend/")
    assert not may(s3.put_object, Bucket=name, Key="_backend/ledger/x", Body=b"")
    identity = f"artifacts/{OBJECT}"
    assert may(s3.get_object, Bucket=name, Key=identity)
    assert not may(s3.put_object, Bucket=name, Key=identity, Body=b"")
    assert not may(s3.delete_object, Bucket=name, Key=identity)


def test_a_database_away_for_two_minutes_replaces_no_task(dev: AwsStack, server_rig: AwsRig, naming: Naming) -> None:
    """Liveness does not ask the database, so the platform lets the task be, and it serves again by itself."""
    (task,) = servers(server_rig, naming)
    database = server_rig.databases.running[naming.database()]
    asked = task.asked
    database.stop()
    try:
        # As many health checks as two minutes of ECS have: enough to fail by, thrice over.
        enough = asked + _TWO_MINUTES_S // 10
        until(lambda: task.asked >= enough, what="two minutes of health checks", deadline_s=240)
    finally:
        database.start()
    assert servers(server_rig, naming) == [task]
    assert task.health == "HEALTHY"
    assert dev.script("verify").ok


def test_a_second_up_changes_nothing(dev: AwsStack, server_rig: AwsRig, naming: Naming) -> None:
    """No resource differs from what is there, and the task is the same process."""
    before = servers(server_rig, naming)
    outcome = dev.must_up()
    assert nothing_changed(outcome.text), outcome.text
    assert servers(server_rig, naming) == before


def test_a_parameter_that_waits_is_said_by_status_until_the_command_that_it_names_was_run(
    dev: AwsStack, server_rig: AwsRig, naming: Naming
) -> None:
    """RDS has the new value and Postgres the old one until somebody restarts it, which no update does."""
    rds, database = server_rig.client("rds"), server_rig.databases.running[naming.database()]
    shown = "SHOW max_connections"
    ((before,),) = database.execute("postgres", shown)

    def set_to(value: str) -> None:
        change = {"ParameterName": "max_connections", "ParameterValue": value, "ApplyMethod": "pending-reboot"}
        rds.modify_db_parameter_group(DBParameterGroupName=naming.database_group(), Parameters=[change])

    command = restart_database(naming.database(), server_rig.region)
    assert command not in dev.script("status").text
    set_to("97")
    assert command in dev.script("status").text
    assert database.execute("postgres", shown) == [(before,)]
    rds.reboot_db_instance(DBInstanceIdentifier=naming.database())
    assert database.execute("postgres", shown) == [("97",)]
    assert command not in dev.script("status").text
    set_to(before)
    rds.reboot_db_instance(DBInstanceIdentifier=naming.database())


def test_a_role_without_listbucket_is_found(dev: AwsStack, server_rig: AwsRig, naming: Naming) -> None:
    """The permission that a real deployment lost hours after a green update: verification is red, and names S3."""
    iam, role = server_rig.client("iam"), naming.role("server")
    name = iam.list_role_policies(RoleName=role)["PolicyNames"][0]
    document = iam.get_role_policy(RoleName=role, PolicyName=name)["PolicyDocument"]
    kept = [each for each in document["Statement"] if each["Sid"] != "ListOwnPrefix"]
    iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps({**document, "Statement": kept}))
    try:
        outcome = dev.script("verify")
    finally:
        iam.put_role_policy(RoleName=role, PolicyName=name, PolicyDocument=json.dumps(document))
    assert outcome.code == 1, outcome.text
    assert "artifact" in outcome.text
    assert dev.script("verify").ok


def test_it_is_called_by_further_names_from_further_pages_and_below_a_path(
    dev: AwsStack, server_rig: AwsRig, naming: Naming
) -> None:
    """Through the balancer to the real server, as on `local` (tests/engine/test_local_doors.py); nothing follows."""
    dev.write_settings(
        network={"pathPrefix": "/team/ml"},
        access={"hosts": ["second.example", "third.example:8443"], "origins": ["https://app.example"]},
    )
    dev.must_up()
    outputs = dev.outputs()
    assert outputs["verification"]["verdict"] == "pass", outputs["verification"]["table"]
    url = outputs["trackingUrl"]
    assert url.endswith("/team/ml")
    held = json.loads(
        server_rig.client("secretsmanager").get_secret_value(SecretId=naming.secret("server"), VersionStage=IN_FORCE)[
            "SecretString"
        ]
    )
    login = urllib3.make_headers(basic_auth=f"{held['admin-user']}:{held['admin-password']}")

    def status(**headers: str) -> int:
        sent = {"content-type": "application/json", **login, **headers}
        search = f"{url}/api/2.0/mlflow/experiments/search"
        body = b'{"max_results": 1}'
        return urllib3.request("POST", search, body=body, headers=sent, timeout=30, retries=False).status

    found = {
        "": status(),
        "second.example": status(host="second.example"),
        "third.example:8443": status(host="third.example:8443"),
        "third.example:9000": status(host="third.example:9000"),
        "fourth.example": status(host="fourth.example"),
        "https://app.example": status(origin="https://app.example"),
        "https://other.example": status(origin="https://other.example"),
    }
    assert found == {
        "": 200,
        "second.example": 200,
        "third.example:8443": 200,
        "third.example:9000": 403,
        "fourth.example": 403,
        "https://app.example": 200,
        "https://other.example": 403,
    }
