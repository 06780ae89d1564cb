"""The shipped stack `staging` by the real engine: several zones, HTTPS, protected, scaled, with access logs.

Containers that start at once stand for MLflow, as in test_aws_life.py. The tests stand in the order of its life: the
last ones end it, by docs/targets/ecs.md, 'End a protected stack'.
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final

import jmespath
import pytest

from mlflow_backend.aws.naming import Naming
from mlflow_backend.aws.permissions import Purpose
from tests.engine.project import ROOT
from tests.engine.stack import nothing_changed, touched
from tests.rig.aws.inventory import inventory
from tests.rig.aws.previews import Account, certify
from tests.rig.aws.stack import PROGRAM, AwsStack

if TYPE_CHECKING:
    from tests.rig.aws.rig import AwsRig

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

_DOMAIN: Final = "staging.example.com"
_MANUAL: Final = ROOT / "docs" / "targets" / "ecs.md"
_EVERY_VERSION: Final = "{Objects: [Versions, DeleteMarkers][].{Key: Key, VersionId: VersionId}}"


@pytest.fixture(scope="module")
def zone(rig: AwsRig) -> str:
    """A zone for the names below that of the stack's public URL, which somebody else made."""
    made = rig.client("route53").create_hosted_zone(Name=_DOMAIN, CallerReference="staging")
    return str(made["HostedZone"]["Id"]).rpartition("/")[2]


@pytest.fixture(scope="module")
def asked(rig: AwsRig, zone: str, tmp_path_factory: pytest.TempPathFactory) -> AwsStack:
    """The stack, not deployed yet, that asks for an image which was verified on `dev` two days ago."""
    made = AwsStack(tmp_path_factory.mktemp("staging") / "stack", rig, "staging", program=PROGRAM)
    certify(rig, made)
    network = {**made.settings["aws"]["network"], "hostedZone": zone}
    made.write_settings(aws={"artifacts": {"accessLogs": True}, "network": network})
    account = Account(rig, made, made)
    account.verified(account.push(), ago=timedelta(days=2))
    return made


@pytest.fixture(scope="module")
def before(asked: AwsStack, rig: AwsRig) -> set[tuple[str, str]]:
    """What the account held before the stack was deployed; its deploy role was there."""
    asked.credentials(Purpose.DEPLOY)
    return inventory(rig)


@pytest.fixture(scope="module")
def staging(asked: AwsStack, before: set[tuple[str, str]]) -> AwsStack:
    """The stack, deployed under the policy pack as `make up` does it."""
    asked.must_up(*asked.policed())
    return asked


@pytest.fixture(scope="module")
def naming(rig: AwsRig) -> Naming:
    """The stack's names."""
    return Naming(project="mlflow-backend", stack="staging", account=rig.account, region=rig.region)


def records(rig: AwsRig, zone: str) -> list[dict[str, Any]]:
    """Return the zone's records but for those that every zone has."""
    answer = rig.client("route53").list_resource_record_sets(HostedZoneId=zone)["ResourceRecordSets"]
    return [each for each in answer if each["Type"] not in {"NS", "SOA"}]


def test_it_is_what_the_settings_say(staging: AwsStack, rig: AwsRig, naming: Naming) -> None:
    """Two tasks, two cache nodes, a database in two zones that keeps itself, and HTTPS."""
    assert [each.definition.family for each in rig.live_tasks] == [naming.family("server")] * 2
    (cache,) = rig.client("elasticache").describe_replication_groups()["ReplicationGroups"]
    assert len(cache["MemberClusters"]) == 2
    (database,) = rig.client("rds").describe_db_instances()["DBInstances"]
    assert database["MultiAZ"]
    assert database["DeletionProtection"]
    elb = rig.client("elbv2")
    (balancer,) = elb.describe_load_balancers()["LoadBalancers"]
    listeners = elb.describe_listeners(LoadBalancerArn=balancer["LoadBalancerArn"])["Listeners"]
    assert {(each["Port"], each["Protocol"]) for each in listeners} == {(80, "HTTP"), (443, "HTTPS")}
    logged = rig.client("s3").get_bucket_logging(Bucket=naming.bucket("data"))
    assert logged["LoggingEnabled"]["TargetBucket"] == naming.bucket("logs")


def test_the_public_name_is_an_alias_of_the_balancer(staging: AwsStack, rig: AwsRig, zone: str) -> None:
    """One record is made in the zone: the public URL's name, which answers with the balancer's own addresses."""
    (balancer,) = rig.client("elbv2").describe_load_balancers()["LoadBalancers"]
    (record,) = records(rig, zone)
    assert (record["Name"], record["Type"]) == (f"mlflow.{_DOMAIN}.", "A")
    assert staging.outputs()["trackingUrl"] == f"https://mlflow.{_DOMAIN}"
    assert record["AliasTarget"] == {
        "HostedZoneId": balancer["CanonicalHostedZoneId"],
        "DNSName": f"{balancer['DNSName']}.",
        "EvaluateTargetHealth": False,
    }


def test_a_refresh_changes_nothing(staging: AwsStack, rig: AwsRig) -> None:
    """What was made is found as it was made: no resource differs, and no task is replaced."""
    before = rig.live_tasks
    outcome = staging.must_up("--refresh")
    assert nothing_changed(outcome.text), outcome.text
    assert rig.live_tasks == before


@pytest.mark.full
def test_a_name_that_was_led_elsewhere_is_found_and_led_back(staging: AwsStack, rig: AwsRig, zone: str) -> None:
    """Somebody changes the record by hand: an update that refreshes names it, and changes it alone."""
    before = records(rig, zone)
    (record,) = records(rig, zone)
    record["AliasTarget"]["EvaluateTargetHealth"] = True
    changes = {"Changes": [{"Action": "UPSERT", "ResourceRecordSet": record}]}
    rig.client("route53").change_resource_record_sets(HostedZoneId=zone, ChangeBatch=changes)
    (changed,) = touched(staging.must_up("--refresh").text)
    assert "aws:route53:Record" in changed
    assert records(rig, zone) == before


def test_destroy_is_refused_before_anything_is_deleted(
    staging: AwsStack, rig: AwsRig, zone: str, naming: Naming
) -> None:
    """With and without a preview: one sentence that names the setting, and everything serves on."""
    s3 = rig.client("s3")
    for text in (b"old", b"new"):
        s3.put_object(Bucket=naming.bucket("data"), Key="artifacts/model", Body=text)
    s3.delete_object(Bucket=naming.bucket("data"), Key="artifacts/model")
    s3.put_object(Bucket=naming.bucket("logs"), Key="balancer/log", Body=b"GET /")
    held, tasks, names = inventory(rig), rig.live_tasks, records(rig, zone)
    for outcome in (staging.destroy(), staging.pulumi("destroy", "--yes", "--stack", staging.name)):
        assert not outcome.ok
        refusals = [
            line for line in outcome.text.splitlines() if line.lstrip().startswith("error: ") and "urn:" in line
        ]
        assert len(refusals) == 1, outcome.text
        assert "::mlflow-backup.protect" in refusals[0]
        assert " -  aws:" not in outcome.text
    assert (inventory(rig), rig.live_tasks, records(rig, zone)) == (held, tasks, names)


def test_the_documented_way_ends_at_the_data(staging: AwsStack, rig: AwsRig, zone: str, naming: Naming) -> None:
    """Both protections lifted, all goes but what holds data: artifacts are deleted by a person, and by nobody else."""
    lifted = {"DBInstanceIdentifier": naming.database(), "DeletionProtection": False, "ApplyImmediately": True}
    rig.client("rds").modify_db_instance(**lifted)
    assert staging.pulumi("state", "unprotect", "--all", "--yes", "--stack", staging.name).ok
    outcome = staging.destroy()
    assert not outcome.ok
    assert "BucketNotEmpty" in outcome.text
    buckets = {each["Name"] for each in rig.client("s3").list_buckets()["Buckets"]}
    # The engine begins nothing more once a deletion has failed: what else is there by then goes with the next destroy.
    assert naming.bucket("data") in buckets
    assert not rig.live_tasks
    assert records(rig, zone) == []


def test_emptied_it_leaves_its_last_snapshot_and_the_key_of_it(
    staging: AwsStack, rig: AwsRig, naming: Naming, before: set[tuple[str, str]]
) -> None:
    """By the manual's own query every version goes; then nothing is left that was not promised, and it can be read."""
    assert _EVERY_VERSION in _MANUAL.read_text(encoding="utf-8")
    s3, bucket = rig.client("s3"), naming.bucket("data")
    s3.delete_objects(
        Bucket=bucket, Delete=jmespath.search(_EVERY_VERSION, s3.list_object_versions(Bucket=bucket, MaxKeys=1000))
    )
    outcome = staging.destroy()
    assert outcome.ok, outcome.text
    left = inventory(rig) - before
    assert {kind for kind, _ in left} == {"rds describe_db_snapshots"}, left
    snapshots = rig.client("rds").describe_db_snapshots(SnapshotType="manual")["DBSnapshots"]
    (last,) = [each for each in snapshots if each["DBSnapshotIdentifier"].startswith(f"{naming.database()}-final-")]
    key = rig.client("kms").describe_key(KeyId=last["KmsKeyId"])["KeyMetadata"]
    assert (key["Description"], key["KeyState"]) == (f"Data of {naming.cluster()}", "Enabled")


@pytest.mark.full
def test_it_comes_back_once_its_names_are_free(staging: AwsStack, rig: AwsRig, naming: Naming) -> None:
    """At once after the destroy: refused by a secret in its recovery window, green after the manual's command."""
    refused = staging.up()
    assert not refused.ok
    assert naming.secret("server") in refused.text
    assert f"delete-secret --secret-id {naming.secret('server')} --force" in _MANUAL.read_text(encoding="utf-8")
    for part in ("server", "cache"):
        rig.client("secretsmanager").delete_secret(SecretId=naming.secret(part), ForceDeleteWithoutRecovery=True)
    staging.must_up()
