"""The backend as it is registered: under the SDK's own names, its URNs guarded, in every variant and in preview."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.aws.render import database
from mlflow_backend.contract import Release
from mlflow_backend.ecs.render import containers, tasks
from mlflow_backend.releases.pins import PinnedRelease
from tests.components.ecs.lint import OWN_RULES
from tests.components.ecs.recording import SAME_URNS, document, known_inputs, record
from tests.components.ecs.stacks import ADOPTED, VARIANTS, changed, naming_of, settings_of
from tests.components.registrations import assert_as_recorded, assert_distinct, of_type, snapshot, walk

if TYPE_CHECKING:
    from tests.components.registrations import Registered

SNAPSHOTS = Path(__file__).parent / "snapshots"


@pytest.fixture(scope="module")
def registered() -> dict[str, list[Registered]]:
    """Every variant, registered once."""
    return {variant: record(variant) for variant in VARIANTS}


@pytest.mark.parametrize("variant", VARIANTS)
def test_urns_do_not_change_unnoticed(variant: str, registered: dict[str, list[Registered]]) -> None:
    """A moved or renamed resource is made anew, a database too. UPDATE_SNAPSHOTS=1 records what is meant."""
    assert_as_recorded(snapshot(registered[variant]), SNAPSHOTS / f"{SAME_URNS.get(variant, variant)}.txt")


def test_no_two_snapshots_are_the_same() -> None:
    """A variant that differs in values alone belongs into `SAME_URNS`."""
    assert_distinct(SNAPSHOTS, len(VARIANTS) - len(SAME_URNS))


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_urn_is_one_resources(variant: str, registered: dict[str, list[Registered]]) -> None:
    """The engine refuses a second resource of a URN, at the first `up` that meets it."""
    urns = [each.urn for each in registered[variant]]
    assert len(set(urns)) == len(urns)


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_property_is_one_that_the_sdk_knows(variant: str, registered: dict[str, list[Registered]]) -> None:
    """A mock takes any name; the real provider does not."""
    looked_at = 0
    for each in registered[variant]:
        known = known_inputs(each.type)
        if known is not None:
            assert set(each.inputs) <= known, each.urn
            looked_at += 1
    assert looked_at > 40


@pytest.mark.parametrize("variant", VARIANTS)
def test_a_preview_knows_as_many_resources(variant: str, registered: dict[str, list[Registered]]) -> None:
    """Before anything exists, nothing is missing from the plan and nothing fails on an unknown."""
    assert {each.urn for each in record(variant, preview=True)} == {each.urn for each in registered[variant]}


@pytest.mark.parametrize("variant", VARIANTS)
def test_everything_is_made_by_the_provider_of_this_account(
    variant: str, registered: dict[str, list[Registered]]
) -> None:
    """The default provider would use whatever account and region is logged in, and set no tags."""
    (own,) = [each for each in registered[variant] if each.type == "pulumi:providers:aws"]
    assert document(own.inputs["allowedAccountIds"]) == ["123456789012"]
    assert own.inputs["region"] == "eu-west-1"
    tags = document(own.inputs["defaultTags"])["tags"]
    assert tags == {"project": "mlflow-backend", "stack": variant, "managed-by": "pulumi"}
    for each in registered[variant]:
        if each.type.startswith("aws:"):
            assert own.urn in each.provider, each.urn


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_registered_is_what_was_rendered(variant: str, registered: dict[str, list[Registered]]) -> None:
    """Task definitions reach AWS as the linter judged them, and texts are one spelling of themselves."""
    made = of_type(registered[variant], "TaskDefinition")
    assert {each.name.rpartition("-")[2] for each in made} >= {"server", "database"}
    for each in made:
        definitions = document(each.inputs["containerDefinitions"])
        assert containers.text(definitions) == each.inputs["containerDefinitions"]
        request = {**each.inputs, "containerDefinitions": definitions}
        assert not [finding for rule in OWN_RULES for finding in rule(request)]
        assert each.inputs["skipDestroy"] is True
        assert definitions[0]["image"].endswith(f"@sha256:{'a' * 64}")


@pytest.mark.parametrize("variant", VARIANTS)
def test_no_secret_is_in_anybodys_inputs(variant: str, registered: dict[str, list[Registered]]) -> None:
    """The cache's token goes to the cache and into its secret, and nowhere else."""
    holders = {
        each.type.rsplit(":", 1)[-1]
        for each in registered[variant]
        for _, leaf in walk(each.inputs)
        if "t0ken0of0sixteen" in str(leaf)
    }
    assert holders <= {"ReplicationGroup", "SecretVersion"}


@pytest.mark.parametrize(
    ("variant", "expected"),
    [
        ("staging", {"cpuArchitecture": "X86_64", "memory": "4096", "jobs": "false", "version": "3.17.2"}),
        ("arm64", {"cpuArchitecture": "ARM64", "memory": "4096", "jobs": "false", "version": "3.17.2"}),
        ("jobs", {"cpuArchitecture": "X86_64", "memory": "8192", "jobs": "true", "version": "3.17.2"}),
        ("old-mlflow", {"cpuArchitecture": "X86_64", "memory": "4096", "jobs": "", "version": "2.9.2"}),
    ],
)
def test_what_is_asked_for_reaches_the_task(
    variant: str, expected: dict[str, str], registered: dict[str, list[Registered]]
) -> None:
    """Variants that register the same resources differ in what the server's task is."""
    (task,) = [each for each in registered[variant] if each.name == "mlflow-service-server"]
    (container,) = document(task.inputs["containerDefinitions"])
    variables = {each["name"]: each["value"] for each in container["environment"]}
    found = {
        "cpuArchitecture": task.inputs["runtimePlatform"]["cpuArchitecture"],
        "memory": task.inputs["memory"],
        "jobs": variables.get("MLFLOW_SERVER_ENABLE_JOB_EXECUTION", ""),
        "version": container["dockerLabels"]["mlflow-backend.mlflow-version"],
    }
    assert found == expected


def test_protection_follows_the_setting(registered: dict[str, list[Registered]]) -> None:
    """What holds data is protected in staging and destroyable in dev."""
    holding = {"mlflow-database-instance", "mlflow-storage-data", "mlflow-storage-key"}

    def protected(variant: str) -> set[str]:
        buckets = {"aws:s3/bucket:Bucket", "aws:rds/instance:Instance", "aws:kms/key:Key"}
        return {each.name for each in registered[variant] if each.protect and each.type in buckets}

    assert protected("staging") == holding
    assert protected("dev") == set()
    (dev,), (staging,) = (of_type(registered[variant], "Instance") for variant in ("dev", "staging"))
    assert (dev.inputs["skipFinalSnapshot"], dev.inputs["deletionProtection"]) == (True, False)
    assert (staging.inputs["skipFinalSnapshot"], staging.inputs["deletionProtection"]) == (False, True)
    assert staging.inputs["finalSnapshotIdentifier"] == f"{naming_of('staging').database()}-final-abcdef"


@pytest.mark.parametrize("variant", VARIANTS)
def test_destroy_comes_to_the_protection_first(variant: str, registered: dict[str, list[Registered]]) -> None:
    """It stands on every resource, so that a refused `destroy` has deleted none of them yet."""
    (protection,) = of_type(registered[variant], "Protection")
    made = {each.urn for each in registered[variant] if not each.type.startswith(("mlflow-backend:", "pulumi:"))}
    assert made - set(protection.needs) == set()
    assert protection.protect == database.protected(settings_of(variant))
    assert not [each.urn for each in registered[variant] if protection.urn in each.needs]


def test_the_key_outlives_a_protected_backend(registered: dict[str, list[Registered]]) -> None:
    """The last snapshot is encrypted with it; what is made to be destroyed takes its key along."""
    retained = {variant: {each.name for each in registered[variant] if each.retained} for variant in VARIANTS}
    assert retained["staging"] == {"mlflow-storage-key"}
    assert retained["dev"] == set()


def test_what_is_adopted_is_not_made(registered: dict[str, list[Registered]]) -> None:
    """No network, database, cache, bucket or topic besides the ones that were named."""
    made = {each.type.rsplit(":", 1)[-1] for each in registered["adopted"]}
    assert not made & {"Vpc", "Subnet", "NatGateway", "Instance", "ReplicationGroup", "Topic", "AwsCacheToken"}
    buckets = {each.name for each in of_type(registered["adopted"], "Bucket")}
    assert buckets == {"mlflow-storage-logs"}
    (service,) = of_type(registered["adopted"], "Service")[-1:]
    assert service.inputs["networkConfiguration"]["subnets"] == ADOPTED["aws"]["network"]["privateSubnets"]
    assert all(
        each.inputs["referencedSecurityGroupId"] for each in registered["adopted"] if each.name.endswith("-6432")
    )


@pytest.mark.parametrize(("task", "part"), [("server", "server"), ("database", "tasks"), ("verify", "verify")])
def test_each_task_has_roles_of_its_own(registered: dict[str, list[Registered]], task: str, part: str) -> None:
    """What verifies can neither read dumps nor rewrite the ledger, and no task has another's secrets."""
    (found,) = [each for each in of_type(registered["dev"], "TaskDefinition") if each.name == f"mlflow-service-{task}"]
    assert f"mlflow-identity-{part}-" in found.inputs["taskRoleArn"]
    assert f"mlflow-identity-{part}-execution-" in found.inputs["executionRoleArn"]


def _service(registered: list[Registered]) -> Registered:
    (found,) = [each for each in registered if each.type == "aws:ecs/service:Service"]
    return found


def test_the_service_deploys_carefully(registered: dict[str, list[Registered]]) -> None:
    """Circuit breaker, alarms, new before old, a grace for the start, and no wait but our own."""
    inputs = _service(registered["staging"]).inputs
    assert inputs["deploymentCircuitBreaker"] == {"enable": True, "rollback": True}
    assert inputs["alarms"]["enable"] is True
    assert inputs["alarms"]["alarmNames"] == ["mlflow-backend-staging-mlflow-server-errors"]
    assert (inputs["deploymentMinimumHealthyPercent"], inputs["deploymentMaximumPercent"]) == (100, 200)
    assert inputs["healthCheckGracePeriodSeconds"] == 240
    assert inputs["waitForSteadyState"] is False


def test_ecs_does_not_go_back_over_a_migration() -> None:
    """The old revision would refuse the new schema: neither the circuit breaker nor an alarm puts it back."""
    inputs = _service(record("staging", migrated=True)).inputs
    assert inputs["deploymentCircuitBreaker"] == {"enable": True, "rollback": False}
    assert (inputs["alarms"]["enable"], inputs["alarms"]["rollback"]) == (True, False)


def test_autoscaling_is_not_undone_by_an_update(registered: dict[str, list[Registered]]) -> None:
    """The count is ignored only if something else moves it."""
    assert _service(registered["staging"]).ignored == ("desiredCount",)
    assert _service(registered["dev"]).ignored == ()
    assert len(of_type(registered["staging"], "Policy")) == 2
    assert of_type(registered["dev"], "Policy") == []


def test_no_revision_starts_before_the_database_is_at_its_head(registered: dict[str, list[Registered]]) -> None:
    """Data stores, migration, revision, the platform's wait, verification, ledger: each waits for the one before."""
    by_urn = {each.urn: each for each in registered["staging"]}

    def before(each: Registered) -> set[str]:
        found: set[str] = set()
        waiting = [each]
        while waiting:
            for urn in waiting.pop().needs:
                if urn in by_urn and urn not in found:
                    found.add(urn)
                    waiting.append(by_urn[urn])
        return {by_urn[urn].name for urn in found}

    named = {each.name: each for each in registered["staging"]}
    order = [
        "mlflow-service-database", "mlflow-migration", "mlflow-service-service", "mlflow-rollout",
        "mlflow-verification", "mlflow-ledger", "mlflow-hold",
    ]  # fmt: skip
    for earlier, later in itertools.pairwise(order):
        assert earlier in before(named[later]), (earlier, later)
    assert "mlflow-database-instance" in before(named["mlflow-migration"])
    assert "mlflow-balancer-https" in before(named["mlflow-service-service"])
    assert "mlflow-identity-server" in before(named["mlflow-service-service"])


def test_another_user_is_looked_at_before_a_revision_logs_in_as_him() -> None:
    """The database tool names the owner at once; ECS would start one server after the other that nobody lets in."""

    def looked_at(user: str) -> str:
        made = record("dev", settings=changed("dev", {"aws": {"database": {"user": user}}}))
        (migration,) = of_type(made, "Migration")
        return str(migration.inputs["database"])

    assert looked_at("mlflow") == looked_at("mlflow")
    assert looked_at("mlflow") != looked_at("other")


def test_a_pin_serves_exactly_that_revision(registered: dict[str, list[Registered]]) -> None:
    """No new one is registered, nothing is migrated for it, and verification holds the service to the pinned one."""
    release = Release(revision="41", mlflow_version="3.4.0", image_digest="sha256:old")
    pinned = PinnedRelease(release=release, identity="older", withheld="pinned to 41", manual=True)
    found = record("staging", pinned=pinned)
    service = _service(found)
    family = naming_of("staging").family(tasks.SERVER)
    assert service.inputs["taskDefinition"] == naming_of("staging").arn("ecs", f"task-definition/{family}:41")
    server = next(each for each in found if each.name == "mlflow-service-server")
    assert {"containerDefinitions", "cpu", "memory", "taskRoleArn"} <= set(server.ignored)
    assert {"deploymentCircuitBreaker.rollback", "alarms.rollback"} <= set(service.ignored), "a difference for nothing"
    (rollout,), (verification,) = of_type(found, "EcsRollout"), of_type(found, "Verification")
    (migration,), (hold,) = of_type(found, "Migration"), of_type(found, "Hold")
    assert rollout.inputs["revision"] == "41"
    recorded = {"revision": "41", "mlflowVersion": "3.4.0", "imageDigest": "sha256:old", "schemaHead": "abc"}
    assert verification.inputs["release"] == recorded
    assert migration.inputs["mlflowVersion"] == "3.4.0"
    assert (hold.inputs["withheld"], hold.inputs["accepted"]) == ("pinned to 41", False)
    assert {each.urn for each in found} == {each.urn for each in registered["staging"]}


def test_an_accepted_pin_ends_green_and_a_block_never(registered: dict[str, list[Registered]]) -> None:
    """`release.acceptPin` is about what a person pinned, not about a release that failed."""
    wanted = changed("staging", {"release": {"acceptPin": True}})
    for manual in (True, False):
        release = Release(revision="41", mlflow_version="3.17.2")
        pinned = PinnedRelease(release=release, identity="older", withheld="why", manual=manual)
        (hold,) = of_type(record("staging", settings=wanted, pinned=pinned), "Hold")
        assert hold.inputs["accepted"] is manual
    (free,) = of_type(registered["staging"], "Hold")
    assert free.inputs["withheld"] == ""


def test_one_permission_less_is_another_digest(monkeypatch: pytest.MonkeyPatch) -> None:
    """Verification is made again when only an IAM document changed: green must not go stale."""
    from mlflow_backend.aws.render import policies  # noqa: PLC0415

    (before,) = of_type(record("dev"), "Verification")
    again = of_type(record("dev"), "Verification")[0]
    assert before.inputs["servingDigest"] == again.inputs["servingDigest"]
    monkeypatch.setattr(policies, "OBJECT_ACTIONS", policies.OBJECT_ACTIONS[:-1])
    (after,) = of_type(record("dev"), "Verification")
    assert before.inputs["servingDigest"] != after.inputs["servingDigest"]


def test_a_change_of_what_is_not_served_is_no_new_verification() -> None:
    """Alarms and retention are not what users are served."""
    digests = {
        of_type(record("dev", settings=changed("dev", {"backup": {"retentionDays": days}})), "Verification")[0].inputs[
            "servingDigest"
        ]
        for days in (1, 7)
    }
    assert len(digests) == 1


@pytest.mark.parametrize(("variant", "warned"), [("dev", True), ("staging", False)])
def test_plain_http_is_warned_of(*, variant: str, warned: bool, caplog: pytest.LogCaptureFixture) -> None:
    """Every preview and update says it again."""
    record(variant)
    assert any("plain HTTP" in message for message in caplog.messages) is warned


def test_names_on_aws_are_the_rendered_ones(registered: dict[str, list[Registered]]) -> None:
    """The ledger and the rollback command find the parts by these."""
    naming = naming_of("staging")
    named = {each.name: each.inputs for each in registered["staging"]}
    assert named["mlflow-service-cluster"]["name"] == naming.cluster()
    assert named["mlflow-service-service"]["name"] == naming.service()
    assert named["mlflow-service-server"]["family"] == naming.family("server")
    assert any(each.inputs.get("bucket") == naming.bucket("data") for each in of_type(registered["staging"], "Bucket"))


def test_verification_gets_the_address_to_ask_and_nothing_more(registered: dict[str, list[Registered]]) -> None:
    """Through the users' URL, with credentials by reference, against the revision that ECS says it serves."""
    (found,) = of_type(registered["staging"], "Verification")
    naming = naming_of("staging")
    assert found.inputs["url"] == "https://mlflow.staging.example.com"
    where = {"region": "eu-west-1", "cluster": naming.cluster(), "service": naming.service()}
    assert found.inputs["locator"]["service"] == where
    assert all(value.startswith("secretsmanager:") for value in found.inputs["credentials"].values())
    assert found.inputs["release"]["imageDigest"] == f"sha256:{'a' * 64}"
    (internal,) = of_type(registered["dev"], "Verification")
    assert internal.inputs["url"] == "http://internal-x.elb.amazonaws.com"
