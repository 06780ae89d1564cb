"""The stand-in `aws` provider: it knows what the SDK knows, refuses the rest, and makes what a stack registers."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.components.ecs.conftest import DEPRECATED
from tests.rig.standin.aws.provider import Aws, translation
from tests.rig.standin.aws.services import TRANSLATIONS
from tests.rig.standin.base import Gone, Refused, Resource
from tests.rig.standin.sdk import Sdk, UnknownToken
from tests.rig.standin.values import UNKNOWN, from_struct, to_struct

if TYPE_CHECKING:
    from tests.rig.standin.inprocess import Made

pytestmark = pytest.mark.filterwarnings(DEPRECATED)
SNAPSHOTS = Path(__file__).parents[2] / "components" / "mlflow_backend" / "ecs" / "snapshots"
_LINE = re.compile(r"\$(aws:[a-z0-9]+/\w+:\w+)::\S+ \[(.*)\]")
SERVICE = "aws:ecs/service:Service"
# Its descriptions are moto's best-known lie; the rig's own ECS tells them in full.
LIES = {SERVICE}
# What stays when it is deleted: its whole ends it, or AWS keeps it.
STAYS = {
    "aws:ecs/taskDefinition:TaskDefinition",
    "aws:secretsmanager/secretVersion:SecretVersion",
    "aws:sns/topicPolicy:TopicPolicy",
    "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
    "aws:s3/bucketVersioning:BucketVersioning",
}


@pytest.fixture(scope="module")
def aws() -> Aws:
    """A provider that is not configured: it reaches nothing."""
    return Aws(Sdk("pulumi_aws"))


def registered() -> dict[str, set[str]]:
    """Return the types that the stacks register, each with the properties that they give it."""
    found: dict[str, set[str]] = {}
    for snapshot in SNAPSHOTS.glob("*.txt"):
        for token, names in _LINE.findall(snapshot.read_text(encoding="utf-8")):
            found.setdefault(token, set()).update(names.split())
    return found


def test_everything_that_the_stacks_register_is_translated() -> None:
    """A type or property that a stack begins to use fails here first, with its name."""
    missing = {
        token: names - (TRANSLATIONS[token].settable if token in TRANSLATIONS else set())
        for token, names in registered().items()
    }
    assert {token: names for token, names in missing.items() if names} == {}


_ASKED_AT_ONCE = """
import threading, warnings
from tests.rig.standin.aws.services import TRANSLATIONS
from tests.rig.standin.sdk import Sdk
sdk, failures, start = Sdk("pulumi_aws"), [], threading.Barrier(16)
def ask(tokens):
    start.wait(30)
    try:
        for token in tokens: sdk.resource(token)
    except BaseException as error:
        failures.append(repr(error))
tokens = list(TRANSLATIONS)
runs = [threading.Thread(target=ask, args=(tokens[at % 4:],)) for at in range(16)]
[each.start() for each in runs]
[each.join() for each in runs]
print(failures[:1])
"""


def test_the_sdk_is_asked_from_many_threads_at_once() -> None:
    """A refresh asks about sixteen resources at a time, of modules that nobody has imported yet (seen to fail)."""
    argv = [sys.executable, "-W", "ignore", "-c", _ASKED_AT_ONCE]
    root = Path(__file__).resolve().parents[3]
    done = subprocess.run(argv, cwd=root, capture_output=True, text=True, timeout=120, check=False)
    assert done.stdout.strip() == "[]", done.stdout + done.stderr


def test_every_translated_property_is_one_of_the_sdk(aws: Aws) -> None:
    """No property is translated that the installed SDK does not have."""
    for token, each in TRANSLATIONS.items():
        beyond = each.settable - set(aws._sdk.resource(token).inputs) - {"tags", "region", "__defaults"}
        # What keys are filled from may be a part of the id.
        assert beyond <= {"id"}, f"{token}: {beyond}"


MISSPELT = [
    ("aws:ec2/vpc:Vpc", "cidr", "10.0.0.0/16"),
    ("aws:ec2/vpc:Vpc", "enableDnsHostname", True),
    ("aws:ec2/vpc:Vpc", "cidr_block", "10.0.0.0/16"),
    ("aws:ec2/subnet:Subnet", "availabilityzone", "eu-west-1a"),
    ("aws:ec2/securityGroup:SecurityGroup", "groupName", "a"),
    ("aws:ecs/service:Service", "loadBalancer", []),
    ("aws:ecs/service:Service", "deploymentConfigurations", {}),
    ("aws:ecs/service:Service", "desiredcount", 1),
    ("aws:ecs/service:Service", "networkConfiguration", {"subnetIds": []}),
    ("aws:ecs/service:Service", "loadBalancers", [{"containerName": "a", "containerPort": 1, "targetGroup": "b"}]),
    ("aws:ecs/taskDefinition:TaskDefinition", "containerDefinition", "[]"),
    ("aws:ecs/taskDefinition:TaskDefinition", "runtimePlatform", {"architecture": "ARM64"}),
    ("aws:rds/instance:Instance", "dbInstanceClass", "db.t4g.micro"),
    ("aws:rds/instance:Instance", "multiAZ", True),
    ("aws:elasticache/replicationGroup:ReplicationGroup", "cacheNodeType", "cache.t4g.micro"),
    ("aws:lb/targetGroup:TargetGroup", "healthCheck", {"pathh": "/health"}),
    ("aws:lb/listener:Listener", "defaultAction", {}),
    ("aws:s3/bucket:Bucket", "bucketName", "a"),
    ("aws:iam/role:Role", "assumeRolePolicyDocument", "{}"),
    ("aws:kms/key:Key", "rotation", True),
    ("aws:route53/record:Record", "alias", []),
    ("aws:route53/record:Record", "aliases", [{"name": "a", "hostedZoneId": "Z1", "evaluateTargetHealth": False}]),
]
WRONG = [
    ("aws:ec2/vpc:Vpc", "enableDnsHostnames", "true"),
    ("aws:ec2/vpc:Vpc", "cidrBlock", 10),
    ("aws:ecs/service:Service", "desiredCount", "1"),
    ("aws:ecs/service:Service", "desiredCount", True),
    ("aws:ecs/service:Service", "desiredCount", 1.5),
    ("aws:ecs/service:Service", "loadBalancers", {"containerName": "a"}),
    ("aws:ecs/service:Service", "networkConfiguration", [{}]),
    ("aws:ecs/taskDefinition:TaskDefinition", "cpu", 256),
    ("aws:ecs/taskDefinition:TaskDefinition", "containerDefinitions", []),
    ("aws:rds/instance:Instance", "vpcSecurityGroupIds", "sg-1"),
    ("aws:cloudwatch/metricAlarm:MetricAlarm", "dimensions", {"Name": 1}),
    ("aws:lb/targetGroup:TargetGroup", "port", "5000"),
    ("aws:route53/record:Record", "aliases", {"name": "a", "zoneId": "Z1", "evaluateTargetHealth": False}),
    ("aws:route53/record:Record", "aliases", [{"name": "a", "zoneId": "Z1", "evaluateTargetHealth": "false"}]),
]


def problems(aws: Aws, token: str, inputs: dict[str, Any]) -> dict[str, str]:
    """Return what a check finds, by property."""
    _, found = aws.check(Resource(token=token, name="a"), inputs, b"seed")
    return {each.path: each.reason for each in found}


@pytest.mark.parametrize(("token", "name", "value"), MISSPELT)
def test_a_misspelt_property_is_refused(aws: Aws, token: str, name: str, value: Any) -> None:
    """A property that the SDK does not have, at any depth, is refused by its name."""
    found = problems(aws, token, {name: value})
    assert any(path.startswith(name) and "no such property" in reason for path, reason in found.items()), found


@pytest.mark.parametrize(("token", "name", "value"), WRONG)
def test_a_wrong_type_is_refused(aws: Aws, token: str, name: str, value: Any) -> None:
    """A value of another type than the SDK's is refused by name and type; an unknown one is not."""
    found = problems(aws, token, {name: value})
    assert any(path.startswith(name) and "must be a" in reason for path, reason in found.items()), found
    assert not any(path.startswith(name) for path in problems(aws, token, {name: UNKNOWN}))


def test_a_missing_property_is_refused(aws: Aws) -> None:
    """What the SDK's constructor demands is demanded here."""
    assert "required" in problems(aws, "aws:ec2/subnet:Subnet", {"cidrBlock": "10.0.0.0/24"})["vpcId"]


def test_what_is_not_known_is_refused_in_its_own_words(aws: Aws) -> None:
    """A type that does not exist, one that is not translated, and a property that is not: three refusals."""
    with pytest.raises(UnknownToken, match="no resource type aws:ecs/servise:Servise"):
        aws.check(Resource(token="aws:ecs/servise:Servise", name="a"), {}, b"")
    with pytest.raises(Refused, match="does not translate this resource type"):
        aws.check(Resource(token="aws:sqs/queue:Queue", name="a"), {}, b"")
    found = problems(aws, "aws:ecs/service:Service", {"availabilityZoneRebalancing": "ENABLED"})
    assert "does not translate this property" in found["availabilityZoneRebalancing"]
    with pytest.raises(UnknownToken):
        aws.invoke("aws:index/getZones:getZones", {})


def test_what_forces_a_replacement_is_what_the_sdk_says(aws: Aws) -> None:
    """Where the SDK's own words say that a change makes another resource, no update is declared for it."""
    for token, each in TRANSLATIONS.items():
        made = aws._sdk._class(token)
        names = aws._sdk.resource(token).inputs
        for python, attribute in vars(made).items():
            text = getattr(attribute, "__doc__", None) or ""
            name = re.sub(r"_(\w)", lambda letter: letter[1].upper(), python)
            if name in names and name in each.settable and re.search(r"[Ff]orces? (a )?new resource", text):
                assert name not in each.updatable, f"{token}.{name}"


def test_an_update_that_cannot_be_is_a_replacement(aws: Aws) -> None:
    """No operation of ECS changes a task definition, so every one of its properties makes another."""
    never = translation("aws:ecs/taskDefinition:TaskDefinition")
    assert never.updatable == {"skipDestroy", "tags", "region", "__defaults"}
    state = {"name": "a", "description": "one", "vpcId": "vpc-1"}
    group = Resource(token="aws:ec2/securityGroup:SecurityGroup", name="a", id="sg-1", inputs=state, state=state)
    difference = _without_tags(aws).diff(group, {**state, "description": "two"})
    assert difference.replacing == ("description",)
    # Its name is given: two groups cannot have it at a time.
    assert difference.delete_first


def test_values_survive_the_protocol() -> None:
    """Unknowns, secrets and whole numbers mean the same on both sides."""
    sent = {"a": UNKNOWN, "b": [1, 2.5, True, "x"], "c": {"d": None, "e": UNKNOWN}}
    assert from_struct(to_struct(sent)) == {"a": UNKNOWN, "b": [1, 2.5, True, "x"], "c": {"e": UNKNOWN}}
    marked = {"4dabf18193072939515e22adb298388d": "1b47061264138c4ac30d75fd1eb44270", "value": "s3cret"}
    assert from_struct(to_struct({"password": marked})) == {"password": "s3cret"}


def _without_tags(aws: Aws) -> Aws:
    """Return a provider that has an account with no tags, and reaches nothing."""

    class Nobody:
        default_tags: dict[str, str] = {}  # noqa: RUF012 - never changed

    made = Aws(aws._sdk)
    made._account = Nobody()  # type: ignore[assignment]
    return made


@pytest.fixture(scope="module")
def made(moto: None) -> Made:
    """A stack, made in full."""
    from tests.rig.standin.inprocess import make  # noqa: PLC0415 - as above

    return make("dev")


def test_a_whole_stack_is_made_and_then_has_no_difference(made: Made) -> None:
    """What AWS answers, in its own order and spelling, is what was asked for."""
    assert len(made.resources) > 80
    differing = {each.token: made.aws.diff(each, each.inputs).changed for each in made.resources}
    assert {token for token, names in differing.items() if names} == LIES


def test_what_names_a_balancer_in_cloudwatch_is_its_arns_end(made: Made) -> None:
    """Alarms and scaling policies are joined from it: without it the program of a scaled stack fails (seen to fail)."""
    ends = {each.token: each.state["arnSuffix"] for each in made.resources if "arnSuffix" in each.state}
    assert ends["aws:lb/loadBalancer:LoadBalancer"].startswith("app/")
    assert ends["aws:lb/targetGroup:TargetGroup"].startswith("targetgroup/")


def test_a_refresh_finds_the_inputs_as_they_were(made: Made) -> None:
    """Reading what was just made changes no input, so that the next preview is empty."""
    honest = [each for each in made.resources if each.token not in LIES]
    assert len(honest) > len(made.resources) / 2
    for each in honest:
        _, _, inputs = made.aws.read(each)
        assert inputs == each.inputs, each.token


def test_a_resource_is_imported_by_its_id_alone(made: Made) -> None:
    """An id is enough to find a resource and the inputs that it would have been made with."""
    for each in made.resources:
        if each.token in LIES:
            continue
        how = translation(each.token)
        unknown = how.kept | how.unread | {"__defaults"}
        _, _, inputs = made.aws.read(Resource(token=each.token, name=each.name, id=each.id))
        missing = {name for name, value in each.inputs.items() if name not in inputs and value not in ([], {}, "")}
        assert missing <= unknown, f"{each.token}: {missing}"


def test_everything_is_deleted(made: Made) -> None:
    """In the order in which an engine deletes, nothing is refused, and nothing is left that AWS does not keep."""
    for each in reversed(made.resources):
        made.aws.delete(each)
        if each.token not in STAYS:
            with pytest.raises(Gone):
                made.aws.read(each)
