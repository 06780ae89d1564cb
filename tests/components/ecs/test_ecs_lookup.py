"""A command without Pulumi's state finds a deployed backend by its names."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import boto3
import pytest

from mlflow_backend.aws.connection import Connection
from mlflow_backend.contract import Refused
from mlflow_backend.ecs.lookup import locate
from mlflow_backend.hosted import report_path
from mlflow_backend.verification import execution
from mlflow_backend.verify.report import Report, now
from tests.components.aws.emulated import emulated_aws
from tests.components.ecs.cloud import LOCATOR, Cloud
from tests.components.ecs.stacks import naming_of, settings_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlflow_backend.verify.subjects import Subject


REGION = "eu-west-1"
SETTINGS, NAMING = settings_of("staging"), naming_of("staging")


@pytest.fixture
def cloud() -> Iterator[None]:
    """Moto, with credentials that are nobody's."""
    with emulated_aws():
        yield


def _deployed() -> tuple[str, str]:
    """Make the parts that a lookup asks for; return a subnet and the security group."""
    ec2 = boto3.client("ec2", region_name=REGION)
    vpc = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnets = [
        ec2.create_subnet(VpcId=vpc, CidrBlock=f"10.0.{n}.0/24", AvailabilityZone=f"{REGION}{zone}")["Subnet"][
            "SubnetId"
        ]
        for n, zone in enumerate("ab")
    ]
    group = ec2.create_security_group(GroupName=NAMING.security_group("tasks"), Description="d", VpcId=vpc)["GroupId"]
    boto3.client("elbv2", region_name=REGION).create_load_balancer(Name=NAMING.balancer(), Subnets=subnets)
    boto3.client("secretsmanager", region_name=REGION).create_secret(Name=NAMING.secret("server"), SecretString="{}")
    ecs = boto3.client("ecs", region_name=REGION)
    ecs.create_cluster(clusterName=NAMING.cluster())
    ecs.register_task_definition(
        family=NAMING.family("server"), containerDefinitions=[{"name": "server", "image": "i", "memory": 512}]
    )
    ecs.create_service(
        cluster=NAMING.cluster(),
        serviceName=NAMING.service(),
        taskDefinition=NAMING.family("server"),
        desiredCount=1,
        networkConfiguration={
            "awsvpcConfiguration": {"subnets": subnets[:1], "securityGroups": [group], "assignPublicIp": "ENABLED"}
        },
    )
    return subnets[0], group


def test_a_deployed_backend_is_found_by_its_names(cloud: None) -> None:
    """The same locator that the program gives to its resources."""
    subnet, group = _deployed()
    found = locate(SETTINGS, NAMING, Connection(NAMING.region))
    assert (found.network.subnets, found.network.security_groups) == ((subnet,), (group,))
    assert found.network.public_address is True
    assert NAMING.secret("server") in found.secret
    assert replace(found, network=LOCATOR.network, secret=LOCATOR.secret, database=LOCATOR.database) == LOCATOR


def test_a_backend_that_is_not_there_is_refused(cloud: None) -> None:
    """The message says what is missing and what to do."""
    with pytest.raises(Refused) as refused:
        locate(SETTINGS, NAMING, Connection(NAMING.region))
    assert (refused.value.code, NAMING.region in str(refused.value)) == ("backend-not-found", True)


def test_a_rollback_verifies_through_the_users_url(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The subject is the whole of it: URL, version and revision expected, login by reference."""
    asked: list[Subject] = []

    def run(subject: Subject, _: object) -> Report:
        asked.append(subject)
        return Report(url=subject.url, profile="core", deadline_s=60, started=now())

    monkeypatch.setattr(execution, "run", run)
    monkeypatch.chdir(tmp_path)
    cloud = Cloud()
    cloud.s3.answers("PutObject", {})
    cloud.releases.verify("41", profile="core", deadline_s=60)
    (subject,) = asked
    assert (subject.url, subject.expected_version, subject.expected_revision) == (
        "https://mlflow.staging.example.com", "3.17.2", "41",
    )  # fmt: skip
    assert subject.credentials["password"].endswith("#admin-password")
    (kept,) = cloud.s3.calls("PutObject")
    assert kept["Key"] == "_backend/reports/latest.json"
    assert kept["Body"].decode() == report_path("staging").read_text()


def test_each_stack_has_a_report_of_its_own() -> None:
    """Beside the local stacks' ones."""
    assert report_path("dev") != report_path("staging")
    assert report_path("dev").parts[-3:] == (".backend", "dev", "verification.json")
