"""The first day: docs/runbooks/first-day.md, typed as it stands into an empty account, to a stack that is deployed.

Before the deployment each prerequisite is taken away: `doctor` names it, the command that it prints is run, and nothing
is missing any more. The tests stand in the order of the day. What docker would build is what runs on the rig
(tests/rig/aws/builder.py).
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import jmespath
import pytest

from mlflow_backend.aws.doctor import quotas
from mlflow_backend.aws.naming import Naming
from mlflow_backend.aws.permissions import Purpose
from mlflow_backend.contract import ExitCode
from mlflow_backend.ecs import doctor
from mlflow_backend.ecs.args import EcsBackendArgs
from mlflow_backend.ecs.permissions import grants
from mlflow_backend.findings import failures
from mlflow_backend.settings import YamlSource, load
from tests.engine.project import ROOT
from tests.rig import contents
from tests.rig.aws.builder import Builder
from tests.rig.aws.scene import VERSION
from tests.rig.aws.shell import Shell
from tests.rig.aws.stack import AwsStack
from tests.server.servers import install_package

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mlflow_backend.findings import Finding
    from mlflow_backend.settings import Settings
    from tests.rig.aws.rig import AwsRig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

_PAGE: Final = ROOT / "docs" / "runbooks" / "first-day.md"
_SHELL: Final = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
_IMAGE: Final = re.compile(r"^ *image: (\S+@sha256:[0-9a-f]{64})$", re.MULTILINE)
_REPOSITORY: Final = "mlflow-backend"


def blocks() -> list[list[str]]:
    """Return the commands of the page, block by block; what belongs together stays one command."""
    found = []
    for block in _SHELL.findall(_PAGE.read_text(encoding="utf-8")):
        commands: list[str] = []
        for line in block.splitlines():
            inside = bool(commands) and commands[-1].startswith("for ") and not commands[-1].endswith("done")
            if inside:
                commands[-1] += f"\n{line}"
            else:
                commands.append(line)
        found.append(commands)
    return found


class Day:
    """An account, a stack that nobody has deployed, and a shell."""

    def __init__(self, stack: AwsStack, shell: Shell, builder: Builder) -> None:
        """Take them."""
        # Each of the policy's statements is a request, and its own test alone asks for all of them.
        self.statements: int | None = 1
        self.stack, self.shell, self.builder, self.rig = stack, shell, builder, stack.rig
        self.naming = Naming(
            project="mlflow-backend", stack=stack.name, account=self.rig.account, region=self.rig.region
        )

    @property
    def settings(self) -> Settings:
        """The stack's settings, as its file has them now."""
        return load(YamlSource.read(self.stack.project / f"Pulumi.{self.stack.name}.yaml"))

    def doctor(self) -> Sequence[Finding]:
        """Return what `doctor` finds, asked in this process: the command is typed by the page."""
        with pytest.MonkeyPatch.context() as patch:
            for name, value in self.rig.environment.items():
                patch.setenv(name, value)
            patch.setattr(doctor, "grants", lambda *asked: grants(*asked)[: self.statements])
            return doctor.check(EcsBackendArgs(settings=self.settings), self.naming)

    def missing(self) -> list[Finding]:
        """Return what is missing."""
        return failures(self.doctor())


@pytest.fixture(scope="module")
def day(server_rig: AwsRig, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Day]:
    """The stack `dev` of an account that has nothing."""
    folder = tmp_path_factory.mktemp("day")
    image = contents.mlflow(VERSION, install_package(folder / "package"), server_rig.authority)
    stack, builder = AwsStack(folder / "stack", server_rig), Builder(server_rig, image)
    try:
        yield Day(stack, Shell(folder / "shell", stack, builder), builder)
    finally:
        builder.close()


@pytest.fixture(scope="module")
def prepared(day: Day) -> list[list[str]]:
    """The page, done up to its deployment; what is left of it."""
    for number, block in enumerate(blocks()):
        for at, command in enumerate(block):
            if command.startswith(("make preview", "make up")):
                return [block[at:], *blocks()[number + 1 :]]
            done = day.shell.run(command)
            first = command.startswith("make doctor") and not day.builder.pushed
            assert done.ok is not first, f"{command}\n{done.text}"
            if command.startswith("make image"):
                (image,) = _IMAGE.findall(done.text)
                day.stack.write_settings(server={"image": image})
    pytest.fail("the page deploys nothing")


def test_an_empty_account_lacks_what_the_page_says(day: Day) -> None:
    """Five roles, the repository, the image: each failure has a command, and nothing else is missing."""
    found = day.missing()
    assert [each.check for each in found].count("service-linked role") == 5
    assert {each.check for each in found} == {"service-linked role", "image repository", "image exists"}
    assert all(each.command for each in found)
    done = day.stack.script("doctor", "--json")
    assert done.code == ExitCode.REFUSED
    assert {each["check"] for each in json.loads(done.text) if each["outcome"] == "fail"} == {
        each.check for each in found
    }


def test_the_page_leads_to_an_account_that_lacks_nothing(day: Day, prepared: list[list[str]]) -> None:
    """Its commands, in their order; the image is there once, by digest, of the commit that is checked out."""
    assert day.missing() == []
    (pushed,) = day.builder.pushed
    assert str(day.stack.settings["server"]["image"]).partition("@")[0] == pushed.rpartition(":")[0]
    assert day.shell.run("make image STACK=dev").ok
    assert day.builder.pushed == [pushed]


@dataclass(frozen=True, kw_only=True)
class Row:
    """One prerequisite: how it is taken away, and the check that names it."""

    name: str
    check: str
    away: Callable[[Day], object]


def _role_away(day: Day) -> None:
    iam = day.rig.client("iam")
    (role,) = iam.list_roles(PathPrefix="/aws-service-role/elasticache.amazonaws.com/")["Roles"]
    iam.delete_service_linked_role(RoleName=role["RoleName"])


def _images_away(day: Day) -> None:
    ecr = day.rig.client("ecr")
    ecr.batch_delete_image(repositoryName=_REPOSITORY, imageIds=ecr.list_images(repositoryName=_REPOSITORY)["imageIds"])


def _shut(quota: quotas.Quota) -> Callable[[Day], None]:
    return lambda day: day.rig.quotas.set(quota.service, quota.code, 0)


def _secret(day: Day) -> None:
    secrets, name = day.rig.client("secretsmanager"), day.naming.secret("server")
    secrets.create_secret(Name=name, SecretString="x")
    secrets.delete_secret(SecretId=name, RecoveryWindowInDays=30)


def _made(service: str, operation: str, parameters: Callable[[Naming], Mapping[str, Any]]) -> Callable[[Day], None]:
    def make(day: Day) -> None:
        getattr(day.rig.client(service), operation)(**parameters(day.naming))

    return make


def _alias(day: Day) -> None:
    kms = day.rig.client("kms")
    kms.create_alias(AliasName=day.naming.key_alias(), TargetKeyId=kms.create_key()["KeyMetadata"]["KeyId"])


ROWS: Final = (
    Row(name="linked-role", check="service-linked role", away=_role_away),
    Row(name="image", check="image exists", away=_images_away),
    Row(name="quota-of-tasks", check="quota L-3032A538", away=_shut(doctor.FARGATE)),
    Row(name="quota-of-networks", check="quota L-F678F1CE", away=_shut(quotas.NETWORKS)),
    Row(name="secret-in-its-recovery-window", check="names", away=_secret),
    Row(
        name="log-group-left",
        check="names",
        away=_made(
            "logs", "create_log_group",
            lambda naming: {"logGroupName": naming.log_group("server")},
        ),
    ),
    Row(name="key-alias-left", check="names", away=_alias),
    Row(
        name="bucket-taken",
        check="names",
        away=_made(
            "s3", "create_bucket",
            lambda naming: {
                "Bucket": naming.bucket("data"), "CreateBucketConfiguration": {"LocationConstraint": naming.region}
            },
        ),
    ),
    Row(
        name="role-taken",
        check="names",
        away=_made(
            "iam", "create_role",
            lambda naming: {"RoleName": naming.role("tasks"), "AssumeRolePolicyDocument": "{}"},
        ),
    ),
    Row(
        name="cluster-taken",
        check="names",
        away=_made("ecs", "create_cluster", lambda naming: {"clusterName": naming.cluster()}),
    ),
)  # fmt: skip


@pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
def test_what_is_taken_away_is_named_and_its_command_mends_it(day: Day, prepared: list[list[str]], row: Row) -> None:
    """One thing is missing, one line says so, and what it prints is all that somebody has to type."""
    row.away(day)
    (found,) = day.missing()
    assert found.check == row.check
    done = day.shell.run(found.command.replace("STACK=STACK", f"STACK={day.stack.name}"))
    assert done.ok, f"{found.command}\n{done.text}"
    assert day.missing() == []


def test_a_permission_that_is_missing_is_named_and_given(day: Day, prepared: list[list[str]]) -> None:
    """The command's policy holds exactly what IAM does not allow yet."""
    iam, day.statements = day.rig.client("iam"), None
    wanted = grants(day.settings, day.naming, Purpose.DEPLOY)
    (deny,) = [each for each in wanted if "rds:CreateDBInstance" in each.actions]
    everything = {"Version": "2012-10-17", "Statement": {"Effect": "Allow", "Action": "*", "Resource": "*"}}
    but = {**everything, "Statement": {"Effect": "Allow", "NotAction": list(deny.actions), "Resource": "*"}}
    iam.put_user_policy(UserName="administrator", PolicyName="all", PolicyDocument=json.dumps(but))
    try:
        (found,) = day.missing()
        assert found.check == "permissions"
        assert "rds:CreateDBInstance" in found.message
        done = day.shell.run(found.command)
        assert done.ok, done.text
        assert day.missing() == []
    finally:
        day.statements = 1
        iam.put_user_policy(UserName="administrator", PolicyName="all", PolicyDocument=json.dumps(everything))


def test_without_its_repository_the_image_is_missing_too(day: Day, prepared: list[list[str]]) -> None:
    """Both are named, the repository first: in this order their commands fix them."""
    day.rig.client("ecr").delete_repository(repositoryName=_REPOSITORY, force=True)
    found = day.missing()
    assert [each.check for each in found] == ["image repository", "image exists"]
    for each in found:
        done = day.shell.run(each.command.replace("STACK=STACK", f"STACK={day.stack.name}"))
        assert done.ok, done.text
    assert day.missing() == []


@pytest.fixture(scope="module")
def staging(day: Day, prepared: list[list[str]], tmp_path_factory: pytest.TempPathFactory) -> Day:
    """The stack `staging` in the same account, with the image of `dev` and neither certificate nor zone."""
    # What was asked for there was enough for `dev`.
    day.rig.quotas.set(doctor.FARGATE.service, doctor.FARGATE.code, 100)
    folder = tmp_path_factory.mktemp("staging")
    stack = AwsStack(folder / "stack", day.rig, "staging")
    # Nothing was verified on `dev` yet, a day ago.
    del stack.settings["release"]
    network = {**stack.settings["aws"]["network"], "hostedZone": "Z0NOBODYS"}
    stack.write_settings(server={"image": day.stack.settings["server"]["image"]}, aws={"network": network})
    return Day(stack, Shell(folder / "shell", stack, day.builder), day.builder)


def named(staging: Day, check: str, key: str, path: str) -> None:
    """Run the command of the one failure of a check, and set a key of `aws.network` to what it answers at a path."""
    (found,) = [each for each in staging.missing() if each.check == check]
    done = staging.shell.run(found.command)
    assert done.ok, done.text
    value = str(jmespath.search(path, json.loads(done.text))).rpartition("/hostedzone/")[2]
    network = {**staging.stack.settings["aws"]["network"], key: value}
    staging.stack.write_settings(aws={"network": network})


def test_a_public_name_gets_its_zone_and_its_certificate(staging: Day) -> None:
    """Each command's answer goes into the settings; the last one makes the record that ACM waits for."""
    assert {each.check for each in staging.missing()} == {"certificate", "hosted zone"}
    named(staging, "hosted zone", "hostedZone", "HostedZone.Id")
    named(staging, "certificate", "certificate", "CertificateArn")
    (waiting,) = staging.missing()
    done = staging.shell.run(waiting.command)
    assert done.ok, done.text
    network, acm = staging.stack.settings["aws"]["network"], staging.rig.client("acm")
    records = staging.rig.client("route53").list_resource_record_sets(HostedZoneId=network["hostedZone"])
    made = {(each["Name"].rstrip("."), each["Type"]) for each in records["ResourceRecordSets"]}
    described = acm.describe_certificate(CertificateArn=network["certificate"])["Certificate"]
    record = described["DomainValidationOptions"][0]["ResourceRecord"]
    assert (record["Name"].rstrip("."), record["Type"]) in made
    with pytest.MonkeyPatch.context() as patch:
        # ACM has seen it.
        patch.setattr("moto.settings.ACM_VALIDATION_WAIT", -1)
        acm.describe_certificate(CertificateArn=network["certificate"])
    assert staging.missing() == []


def test_addresses_of_gateways_are_within_the_quota(staging: Day) -> None:
    """One a zone; `dev` takes none."""
    _shut(quotas.ADDRESSES)(staging)
    (found,) = staging.missing()
    assert found.check == f"quota {quotas.ADDRESSES.code}"
    assert staging.shell.run(found.command).ok
    assert staging.missing() == []


@pytest.mark.full
def test_the_rest_of_the_page_deploys_it(day: Day, prepared: list[list[str]]) -> None:
    """To a backend that is verified; from then on what has the stack's names counts as its own."""
    for command in [each for block in prepared for each in block]:
        done = day.shell.run(command)
        assert done.ok, f"{command}\n{done.text}"
    assert day.stack.outputs()["verification"]["verdict"] == "pass"
    assert [each.definition.family for each in day.rig.live_tasks] == [day.naming.family("server")]
    assert day.missing() == []
