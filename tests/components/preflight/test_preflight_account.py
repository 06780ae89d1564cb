"""The account, its secrets and its certificate: on moto where it is truthful, on recorded answers where it is not."""

from __future__ import annotations

import json
import shlex
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.aws.asking import Account
from mlflow_backend.aws.connection import Connection
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.ecs.preflight import preflight_args
from mlflow_backend.findings import Finding, Outcome
from mlflow_backend.preflight import account
from mlflow_backend.preflight.account import Expected
from mlflow_backend.preflight.ecr import EcrSource
from mlflow_backend.preflight.manifests import DENIED, digest_of
from tests.components.aws.emulated import emulated_aws
from tests.components.ecs.recorded import Recorded
from tests.components.ecs.stacks import naming_of, settings_of
from tests.components.preflight.images import OCI_MANIFEST

if TYPE_CHECKING:
    from collections.abc import Iterator

ACCOUNT, REGION = "123456789012", "eu-west-1"
SECRET = f"arn:aws:secretsmanager:{REGION}:{ACCOUNT}:secret:db-AbCdEf"
CERTIFICATE = f"arn:aws:acm:{REGION}:{ACCOUNT}:certificate/x"
READER = f"arn:aws:iam::{ACCOUNT}:role/execution"
EXPECTED = Expected(
    account=ACCOUNT,
    region=REGION,
    secrets={"aws.database.secret": SECRET},
    reader=READER,
    certificate=CERTIFICATE,
    host="mlflow.example.com",
    hosted_zone="Z1",
    zones=3,
)
BOUNDARY = f"arn:aws:iam::{ACCOUNT}:policy/boundary"


def hosted_zone(name: str) -> dict[str, Any]:
    """Return how Route 53 describes a zone."""
    return {"HostedZone": {"Id": "/hostedzone/Z1", "Name": name, "CallerReference": "x"}}


@pytest.fixture
def cloud() -> Iterator[None]:
    """Moto, with credentials that are nobody's."""
    with emulated_aws():
        yield


class Aws:
    """Recorded answers of everything that is asked; all is well unless a test says otherwise."""

    def __init__(self) -> None:
        """Answer well."""
        self.sts = Recorded("sts").answers("GetCallerIdentity", {"Account": ACCOUNT})
        self.secrets = Recorded("secretsmanager").answers("DescribeSecret", {"ARN": SECRET})
        self.acm = Recorded("acm")
        self.iam = Recorded("iam")
        self.ec2, self.route53 = Recorded("ec2"), Recorded("route53")
        self.has_zones("a", "b", "c")
        self.route53.answers("GetHostedZone", hosted_zone("example.com."))
        self.decides("allowed")
        self.certifies(Status="ISSUED", DomainName="mlflow.example.com")

    def decides(self, decision: str) -> None:
        """Set IAM's decision."""
        result = {"EvalActionName": "secretsmanager:GetSecretValue", "EvalDecision": decision}
        self.iam.answers("SimulatePrincipalPolicy", {"EvaluationResults": [result]})

    def has_zones(self, *names: str) -> None:
        """Set the region's zones."""
        zones = [{"ZoneName": f"{REGION}{name}", "State": "available"} for name in names]
        self.ec2.answers("DescribeAvailabilityZones", {"AvailabilityZones": zones})

    def certifies(self, **details: Any) -> None:
        """Set what ACM says."""
        self.acm.answers("DescribeCertificate", {"Certificate": {"CertificateArn": CERTIFICATE, **details}})

    def check(self, expected: Expected = EXPECTED) -> dict[str, Finding]:
        """Look, and return the findings by check."""
        return {finding.check: finding for finding in account.check(Recordings(self), expected)}


class Recordings(Account):
    """The account of recorded answers."""

    def __init__(self, aws: Aws) -> None:
        """Nothing is asked yet."""
        super().__init__(Connection(REGION))
        self.recorded = {
            "sts": aws.sts,
            "secretsmanager": aws.secrets,
            "acm": aws.acm,
            "iam": aws.iam,
            "ec2": aws.ec2,
            "route53": aws.route53,
        }

    def client(self, service: str) -> Any:
        """Return a service's client."""
        return self.recorded[service].client


def test_an_account_where_all_is_well() -> None:
    """Every check passes, and each is shown."""
    found = Aws().check()
    assert set(found) == {
        "account", "availability zones", "secret exists", "secret readable", "certificate", "hosted zone",
    }  # fmt: skip
    assert {finding.outcome for finding in found.values()} == {Outcome.PASS}


def test_another_account_stops_everything() -> None:
    """Nothing of a stranger's account is looked at."""
    aws = Aws()
    aws.sts.answers("GetCallerIdentity", {"Account": "999999999999"})
    found = aws.check()
    assert list(found) == ["account"]
    assert found["account"].outcome is Outcome.FAIL
    assert "of account 999999999999, and the stack is for 123456789012" in found["account"].message
    assert not aws.secrets.asked


def test_no_credentials_are_reported() -> None:
    """Before any other check."""
    aws = Aws()
    aws.sts.answers("GetCallerIdentity", "ExpiredToken")
    assert list(aws.check()) == ["account"]
    assert "ExpiredToken" in aws.check()["account"].message


@pytest.mark.parametrize(
    ("answer", "outcome", "told"),
    [
        ("ResourceNotFoundException", Outcome.FAIL, "not there"),
        ("AccessDeniedException", Outcome.SKIP, "could not be looked at: AccessDeniedException"),
        ({"ARN": SECRET, "DeletedDate": datetime(2026, 1, 1, tzinfo=UTC)}, Outcome.FAIL, "being deleted"),
    ],
)
def test_a_secret_is_there_or_not_or_not_known(answer: Any, outcome: Outcome, told: str) -> None:
    """Not being allowed to look is shown as skipped, never as passed."""
    aws = Aws()
    aws.secrets.answers("DescribeSecret", answer)
    finding = aws.check()["secret exists"]
    assert finding.outcome is outcome
    assert finding.prop == "aws.database.secret"
    assert told in finding.message


@pytest.mark.parametrize(
    ("answer", "outcome", "told"),
    [
        ("implicitDeny", Outcome.FAIL, "may not read the secret (implicitDeny)"),
        ("NoSuchEntity", Outcome.SKIP, "not there yet"),
        ("AccessDenied", Outcome.SKIP, "AccessDenied"),
    ],
)
def test_whether_tasks_can_read_a_secret(answer: str, outcome: Outcome, told: str) -> None:
    """Asked of IAM for the very role; before the first update there is none to ask about."""
    aws = Aws()
    if answer == "implicitDeny":
        aws.decides(answer)
    else:
        aws.iam.answers("SimulatePrincipalPolicy", answer)
    finding = aws.check()["secret readable"]
    assert finding.outcome is outcome
    assert told in finding.message
    assert aws.iam.calls("SimulatePrincipalPolicy")[0]["PolicySourceArn"] == READER


@pytest.mark.parametrize(
    ("details", "outcome", "told"),
    [
        ({"Status": "PENDING_VALIDATION", "DomainName": "mlflow.example.com"}, Outcome.FAIL, "is PENDING_VALIDATION"),
        ({"Status": "EXPIRED", "DomainName": "mlflow.example.com"}, Outcome.FAIL, "is EXPIRED"),
        ({"Status": "ISSUED", "DomainName": "other.example.com"}, Outcome.FAIL, "users call mlflow.example.com"),
        ({"Status": "ISSUED", "DomainName": "*.example.com"}, Outcome.PASS, "issued"),
        ({"Status": "ISSUED", "DomainName": "*.com"}, Outcome.FAIL, "users call"),
        (
            {"Status": "ISSUED", "DomainName": "x.org", "SubjectAlternativeNames": ["MLFLOW.example.com"]},
            Outcome.PASS,
            "issued",
        ),
    ],
)
def test_a_certificate_is_issued_for_the_name_that_users_call(
    details: dict[str, Any], outcome: Outcome, told: str
) -> None:
    """The balancer takes a certificate that is not issued, and users get an error of their browser."""
    aws = Aws()
    aws.certifies(**details)
    finding = aws.check()["certificate"]
    assert finding.outcome is outcome
    assert told in finding.message


@pytest.mark.parametrize(
    ("answer", "outcome"), [("ResourceNotFoundException", Outcome.FAIL), ("AccessDeniedException", Outcome.SKIP)]
)
def test_a_certificate_that_cannot_be_seen(answer: str, outcome: Outcome) -> None:
    """Not there is a failure, not allowed to look is a skip."""
    aws = Aws()
    aws.acm.answers("DescribeCertificate", answer)
    assert aws.check()["certificate"].outcome is outcome


def test_another_region_is_named() -> None:
    """A balancer takes certificates of its own region only, and tasks read secrets of theirs."""
    elsewhere = replace(
        EXPECTED,
        certificate=CERTIFICATE.replace(REGION, "us-east-1"),
        secrets={"s": SECRET.replace(REGION, "us-east-1")},
    )
    found = Aws().check(elsewhere)
    assert "us-east-1" in found["certificate"].message
    assert "us-east-1" in found["secret exists"].message
    assert "secret readable" not in found


def test_a_region_with_too_few_zones_is_refused() -> None:
    """us-west-1 has two zones for most accounts; what cannot be listed is shown, and is no pass."""
    aws = Aws()
    aws.has_zones("a", "c")
    finding = aws.check()["availability zones"]
    assert (finding.outcome, finding.prop) == (Outcome.FAIL, "aws.network.zones")
    aws.ec2.answers("DescribeAvailabilityZones", "UnauthorizedOperation")
    assert aws.check()["availability zones"].outcome is Outcome.SKIP
    assert "availability zones" not in aws.check(replace(EXPECTED, zones=0))


@pytest.mark.parametrize(
    ("answer", "outcome", "command"),
    [
        (hosted_zone("example.com."), Outcome.PASS, ""),
        (hosted_zone("mlflow.example.com."), Outcome.PASS, ""),
        (hosted_zone("other.com."), Outcome.FAIL, ""),
        (hosted_zone("ample.com."), Outcome.FAIL, ""),
        ("NoSuchHostedZone", Outcome.FAIL, "create-hosted-zone --name example.com"),
        ("AccessDenied", Outcome.SKIP, ""),
    ],
)
def test_the_zone_is_there_and_for_the_public_name(answer: Any, outcome: Outcome, command: str) -> None:
    """A record in a zone of another name would answer nobody."""
    aws = Aws()
    aws.route53.answers("GetHostedZone", answer)
    finding = aws.check()["hosted zone"]
    assert (finding.outcome, finding.prop) == (outcome, "aws.network.hostedZone")
    assert command in finding.command
    assert bool(command) == bool(finding.command)


def test_a_waiting_certificate_names_the_record_it_waits_for() -> None:
    """The command makes that record in the stack's zone; without a zone the record is shown."""
    aws = Aws()
    record = {"Name": "_a.mlflow.example.com.", "Type": "CNAME", "Value": "_b.acm-validations.aws."}
    options = [{"DomainName": "mlflow.example.com", "ResourceRecord": record}]
    aws.certifies(Status="PENDING_VALIDATION", DomainName="mlflow.example.com", DomainValidationOptions=options)
    finding = aws.check()["certificate"]
    assert finding.outcome is Outcome.FAIL
    words = shlex.split(finding.command)
    (change,) = json.loads(words[words.index("--change-batch") + 1])["Changes"]
    assert change["ResourceRecordSet"]["ResourceRecords"] == [{"Value": record["Value"]}]
    alone = aws.check(replace(EXPECTED, hosted_zone=None))["certificate"]
    assert record["Value"] in alone.fix
    assert not alone.command


def test_on_motos_account(cloud: None) -> None:
    """The real clients, as far as moto answers truthfully: the account, and a certificate that it knows."""
    aws = Account(Connection(REGION))
    certificates = aws.client("acm")
    certificate = certificates.request_certificate(DomainName="mlflow.example.com")["CertificateArn"]
    certificates.describe_certificate(CertificateArn=certificate)
    expected = replace(EXPECTED, secrets={}, certificate=certificate, hosted_zone=None)
    found = {finding.check: finding for finding in account.check(aws, expected)}
    assert found["account"].outcome is Outcome.PASS
    status = certificates.describe_certificate(CertificateArn=certificate)["Certificate"]["Status"]
    assert found["certificate"].outcome is (Outcome.PASS if status == "ISSUED" else Outcome.FAIL)
    assert aws.client("secretsmanager").meta.config.read_timeout == 20


CONFIGURATION = {"digest": f"sha256:{'c' * 64}"}
MANIFEST = json.dumps({"schemaVersion": 2, "mediaType": OCI_MANIFEST, "config": CONFIGURATION, "layers": []})


def test_ecr_gives_manifests_byte_for_byte(cloud: None) -> None:
    """A tag and a digest find it; the digest is that of the bytes."""
    client = Connection(REGION).client("ecr")
    client.create_repository(repositoryName="mlflow")
    digest = digest_of(MANIFEST.encode())
    client.put_image(repositoryName="mlflow", imageManifest=MANIFEST, imageTag="1", imageDigest=digest)
    source = EcrSource(client, account=ACCOUNT, repository="mlflow")
    assert source.manifest("1") == MANIFEST.encode()
    assert digest_of(source.manifest(digest)) == digest
    for asked, repository in (("2", "mlflow"), ("1", "nowhere")):
        with pytest.raises(PlatformFailed):
            EcrSource(client, account=ACCOUNT, repository=repository).manifest(asked)


def test_ecr_that_may_not_be_read_is_reported() -> None:
    """The finding has ECR's code, as a missing permission."""
    recorded = Recorded("ecr").answers("BatchGetImage", "AccessDeniedException")
    with pytest.raises(PlatformFailed, match="AccessDeniedException") as caught:
        EcrSource(recorded.client, account=ACCOUNT, repository="mlflow").manifest("1")
    assert caught.value.code in DENIED


def test_ecrs_configurations_are_compared_with_their_digest(tmp_path: Any, loopback_file: Any) -> None:
    """ECR gives an address that carries its own permission; it is shown nowhere."""
    body = b'{"os": "linux"}'
    recorded = Recorded("ecr").answers("GetDownloadUrlForLayer", {"downloadUrl": f"{loopback_file(body)}?sig=hunter2"})
    source = EcrSource(recorded.client, account=ACCOUNT, repository="mlflow")
    assert source.blob(digest_of(body)) == body
    with pytest.raises(PlatformFailed, match="another blob") as caught:
        source.blob(f"sha256:{'0' * 64}")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("boundary", "code", "outcome"),
    [
        (BOUNDARY, "", Outcome.PASS),
        (BOUNDARY, "NoSuchEntity", Outcome.FAIL),
        (BOUNDARY, "AccessDenied", Outcome.SKIP),
        ("", "", Outcome.SKIP),
    ],
)
def test_the_boundary_is_there_and_a_protected_stack_has_one(boundary: str, code: str, outcome: Outcome) -> None:
    """No role can be made under a policy that is not there; a protected stack without one is named at each preview."""
    aws = Aws()
    aws.iam.answers("GetPolicy", code or {"Policy": {"Arn": BOUNDARY}})
    found = aws.check(replace(EXPECTED, boundary=boundary))["permissions boundary"]
    assert (found.outcome, found.prop) == (outcome, "aws.permissionsBoundary")
    assert bool(found.fix) == (outcome is Outcome.FAIL or not boundary)


def test_an_unprotected_stack_needs_no_boundary() -> None:
    """Nothing is said of what nobody asked for."""
    assert "permissions boundary" not in Aws().check()
    assert preflight_args(settings_of("dev"), naming_of("dev")).boundary is None
    assert preflight_args(settings_of("staging"), naming_of("staging")).boundary == ""
    assert preflight_args(settings_of("everything"), naming_of("everything")).boundary
