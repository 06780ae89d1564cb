"""What ecs gives to migrations: the schema by one-shot tasks, a drain that can be undone, releases by their labels."""

from __future__ import annotations

import json
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from mlflow_backend import deployed as module
from mlflow_backend.aws.clients import Clients
from mlflow_backend.contract import PlatformFailed, Refused, Release, Revision
from mlflow_backend.ecs.platform import EcsPlatform
from mlflow_backend.ecs.scale import Scale
from mlflow_backend.ecs.target import TARGET
from mlflow_backend.locator import from_document
from mlflow_backend.releases.journal import Journal
from mlflow_backend.releases.ledger import Contents
from mlflow_backend.releases.records import Dump, Kind, LedgerState, Record, VerifiedRelease
from mlflow_backend.releases.stores import FileStore
from mlflow_backend.releases.targets import LIVE, open_releases
from mlflow_backend.schema import Heads
from mlflow_backend.verify.credentials import read_reference
from tests.components.aws.emulated import emulated_aws
from tests.components.ecs.cloud import FAMILY, LOCATOR, NAMING, Cloud, definition
from tests.components.ecs.recorded import Recorded
from tests.components.ecs.services import NAME, Time, deployment, service


def test_a_locator_comes_back_from_its_document() -> None:
    """The document goes into the state and into the bucket, and back it is the same backend."""
    assert from_document(json.loads(json.dumps(LOCATOR.document()))) == LOCATOR
    assert (LOCATOR.service.cluster, LOCATOR.service.service) == (NAMING.cluster(), NAMING.service())
    assert LOCATOR.server_family == NAMING.family("server")
    assert LOCATOR.address == f"s3://{LOCATOR.bucket}"
    assert replace(LOCATOR, root="team").address == f"s3://{LOCATOR.bucket}/team"


def test_migrations_find_this_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """The locator's kind chooses the target."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "x")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "x")
    assert isinstance(open_releases(LOCATOR).platform, EcsPlatform)


STATUS = {
    "mlflow_version": "3.17.2",
    "exit_code": 0,
    "databases": {
        "tracking": {
            "database": "mlflow", "direction": "equal", "reason": "", "head": "dc11669786a5",
            "expected_head": "dc11669786a5", "pending": [],
        },
    },
}  # fmt: skip


def test_a_preview_asks_no_task() -> None:
    """A pull request's runner must not start anything: the ledger's last word stands for the database."""
    cloud = Cloud()
    assert cloud.releases.heads() is None
    assert cloud.releases.platform.row_counts(["runs"]) == {}
    assert not cloud.ecs.asked


def test_a_preview_that_is_to_be_live_asks_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """`scripts/preview.py --live` shows the schema of a private database as it is, not as the ledger last saw it."""
    monkeypatch.setenv(LIVE, "yes")
    cloud = Cloud()
    cloud.reports(STATUS)
    assert cloud.releases.heads() == Heads(tracking="dc11669786a5")


def test_a_migration_asks_the_database_itself() -> None:
    """A one-shot task in the backend's network asks, under the migration's lock."""
    cloud = Cloud()
    cloud.reports(STATUS)
    releases = cloud.releases
    with releases.migration_lock():
        assert releases.heads() == Heads(tracking="dc11669786a5")
    assert releases.heads() is None
    (run,) = cloud.ecs.calls("RunTask")
    assert run["taskDefinition"] == FAMILY
    assert run["networkConfiguration"]["awsvpcConfiguration"]["securityGroups"] == ["sg-1"]
    locks = [call for call in cloud.s3.calls("PutObject") if "locks/migration" in call["Key"]]
    assert locks[0]["IfNoneMatch"] == "*"


def test_a_database_that_is_away_has_no_heads_and_a_broken_tool_is_reported() -> None:
    """Unreachable is an answer; a tool that fails otherwise is none."""
    cloud = Cloud()
    cloud.reports({"exit_code": 12, "error": "unreachable", "fix": ""})
    with cloud.releases.migration_lock():
        pass
    releases = cloud.releases
    with releases.migration_lock():
        assert releases.heads() is None
    cloud.reports({"exit_code": 2, "error": "usage", "fix": ""})
    releases = cloud.releases
    with releases.migration_lock(), pytest.raises(PlatformFailed, match="usage"):
        releases.heads()


def test_the_tool_runs_in_the_image_of_the_version_asked_for() -> None:
    """The newest task definition of it; one without an active task definition is refused."""
    cloud = Cloud()
    cloud.reports(STATUS)
    cloud.ecs.answers(
        "DescribeTaskDefinition", definition(3, "3.17.2"), definition(3, "3.17.2"), definition(2, "3.4.0")
    )
    cloud.releases.tool("3.4.0").status()
    assert cloud.ecs.calls("RunTask")[0]["taskDefinition"] == f"{FAMILY}:2"
    other = Cloud()
    with pytest.raises(Refused, match=r"MLflow 2\.9\.2"):
        other.releases.tool("2.9.2")


def test_a_release_is_known_by_its_labels() -> None:
    """Version, digest and settings stand on the revision; the schema follows from the version."""
    found = Cloud().releases.release("41", verification_id="v", verdict="pass")
    assert (found.target, found.revision, found.mlflow_version) == ("ecs", "41", "3.17.2")
    assert (found.image_digest, found.settings_hash) == ("sha256:abc", "h4sh")
    assert found.heads.tracking == "dc11669786a5"
    assert found.heads.auth is not None, "with MLflow's own users their database is part of the release"


BOUNDS = {
    "ServiceNamespace": "ecs", "ResourceId": "r", "ScalableDimension": "ecs:service:DesiredCount",
    "MinCapacity": 2, "MaxCapacity": 4, "RoleARN": "a", "CreationTime": 0,
}  # fmt: skip


@dataclass
class Scaled:
    """A service that is scaled."""

    folder: Any
    ecs: Recorded = field(default_factory=lambda: Recorded("ecs"))
    scaling: Recorded = field(default_factory=lambda: Recorded("application-autoscaling"))
    time: Time = field(default_factory=Time)

    def __post_init__(self) -> None:
        """Two tasks that end on request."""
        running = service(deployment(41), desiredCount=2, runningCount=2, pendingCount=0)
        none = service(deployment(41), desiredCount=0, runningCount=0, pendingCount=0)
        self.ecs.answers("DescribeServices", running, running, none).answers("UpdateService", {})
        self.scaling.answers("DescribeScalableTargets", {"ScalableTargets": [BOUNDS]})
        self.scaling.answers("RegisterScalableTarget", {})

    @property
    def scale(self) -> Scale:
        """What is under test."""
        return Scale(
            clients=Clients(ecs=self.ecs.client, logs=Recorded("logs").client),
            scaling=self.scaling.client,
            name=NAME,
            journal=Journal(FileStore(self.folder), "scale"),
            pace=self.time.pace(),
        )


def test_a_drain_is_journalled_first_and_undone_after(tmp_path: Any) -> None:
    """Autoscaling's minimum too: it would start servers in the middle of a migration."""
    scaled = Scaled(tmp_path)
    scaled.scale.down()
    assert scaled.scale.journal.load() == {"desired": 2, "bounds": [2, 4]}
    (bound,) = scaled.scaling.calls("RegisterScalableTarget")
    assert (bound["MinCapacity"], bound["MaxCapacity"]) == (0, 4)
    assert scaled.ecs.calls("UpdateService")[0]["desiredCount"] == 0
    scaled.scale.up()
    assert scaled.scaling.calls("RegisterScalableTarget")[1]["MinCapacity"] == 2
    again = scaled.ecs.calls("UpdateService")[1]
    assert (again["desiredCount"], again["forceNewDeployment"]) == (2, True)
    assert scaled.scale.journal.load() is None


def test_a_drain_that_was_killed_remembers_what_there_was(tmp_path: Any) -> None:
    """Repeated, it does not take the zero that it made for the count to bring back."""
    scaled = Scaled(tmp_path)
    scaled.scale.down()
    scaled.scale.down()
    assert scaled.scale.journal.load() == {"desired": 2, "bounds": [2, 4]}


def test_bringing_back_is_nothing_where_nothing_was_taken_away(tmp_path: Any) -> None:
    """Every rollout asks."""
    scaled = Scaled(tmp_path)
    scaled.scale.up()
    assert not scaled.ecs.asked


def test_a_service_that_is_not_there_has_nothing_to_drain(tmp_path: Any) -> None:
    """The first update migrates an empty database before there is a service, or even a cluster; one may be going."""
    going = service(deployment(41), status="DRAINING")
    for answer in ({"services": []}, "ClusterNotFoundException", going):
        scaled = Scaled(tmp_path)
        scaled.ecs.answers("DescribeServices", answer)
        scaled.scale.down()
        assert not scaled.ecs.calls("UpdateService")


def test_a_task_that_still_starts_is_waited_for(tmp_path: Any) -> None:
    """It would be the second writer as soon as it runs."""
    scaled = Scaled(tmp_path)
    states = ({"runningCount": 2}, {"desiredCount": 0, "runningCount": 0, "pendingCount": 1}, {"runningCount": 0})
    scaled.ecs.answers(
        "DescribeServices",
        *(service(deployment(41), **{"desiredCount": 2, "pendingCount": 0, **state}) for state in states),
    )
    scaled.scale.down()
    assert len(scaled.time.pauses) == 1


def test_tasks_that_do_not_end_stop_the_migration(tmp_path: Any) -> None:
    """A writer beside the migration is what the drain is for."""
    scaled = Scaled(tmp_path)
    scaled.ecs.answers("DescribeServices", service(deployment(41), desiredCount=2, runningCount=2, pendingCount=0))
    with pytest.raises(PlatformFailed, match="2 tasks of server still run"):
        scaled.scale.down()


def test_verification_logs_in_with_a_value_of_the_secret() -> None:
    """A reference is read when it is needed; a failure is reported without a value."""
    with emulated_aws():
        import boto3  # noqa: PLC0415

        client = boto3.client("secretsmanager", region_name="eu-west-1")
        arn = client.create_secret(Name="s", SecretString=json.dumps({"admin-password": "hunter2"}))["ARN"]
        readers = TARGET.platform(LOCATOR).secrets()
        assert read_reference("password", f"secretsmanager:{arn}#admin-password", readers) == "hunter2"
        for reference in (f"secretsmanager:{arn}#other", f"secretsmanager:{arn}x#admin-password", "secretsmanager:x#y"):
            with pytest.raises(Refused) as caught:
                read_reference("password", reference, readers)
            assert "hunter2" not in str(caught.value)


def test_what_a_restore_loses_is_counted_by_a_task_and_undone_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """The database is private: the tool counts and renames there, and its report is the answer."""
    cloud = Cloud()
    cloud.reports({"losses": {"runs": 3}, "exit_code": 0})
    dump = Dump(
        id="d", address="s3://b/_backend/dumps/d", mlflow_version="3.4.0", taken_at=datetime.now(UTC), databases={}
    )
    assert cloud.releases.losses(dump) == {"runs": 3}
    cloud.reports({"roots": {"runs": {"s3://old": 2}}, "exit_code": 0})
    assert cloud.releases.roots() == {}
    monkeypatch.setenv(LIVE, "1")
    assert cloud.releases.roots() == {"runs": {"s3://old": 2}}
    cloud.reports({"databases": {}, "exit_code": 0})
    cloud.releases.undo_restore()
    cloud.reports({"databases": {"tracking": {"kept_databases": []}}, "exit_code": 0})
    assert cloud.releases.drop_kept() == ()
    commands = [call["overrides"]["containerOverrides"][0]["command"] for call in cloud.ecs.calls("RunTask")]
    assert [command[3:5] for command in commands] == [["losses", "--from"], ["roots"], ["undo", "--wait"], ["status"]]


def test_old_revisions_are_dropped_but_never_one_that_a_rollback_could_want(monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest stay, what serves, what the ledger verified, and what a pin or a block holds the service to."""
    monkeypatch.setattr(module, "RETAINED", 2)
    cloud = Cloud()
    releases = cloud.releases
    server = NAMING.family("server")

    def arn(number: int) -> str:
        return f"arn:aws:ecs:eu-west-1:123456789012:task-definition/{server}:{number}"

    cloud.ecs.answers("ListTaskDefinitions", {"taskDefinitionArns": [arn(n) for n in range(1, 10)]})
    cloud.ecs.answers("DescribeServices", service({**deployment(4), "taskDefinition": arn(4)}))
    cloud.ecs.answers("DeregisterTaskDefinition", {})

    def verified(number: int) -> SimpleNamespace:
        return SimpleNamespace(release=SimpleNamespace(revision=str(number)))

    state = SimpleNamespace(pin=SimpleNamespace(revision="2"), blocks=[SimpleNamespace(instead="3")])
    contents = SimpleNamespace(releases=[verified(1), verified(5), verified(6)], state=state)
    monkeypatch.setattr(releases.ledger, "read", lambda: contents)
    assert set(releases.retire()) == {"1", "7"}
    assert {call["taskDefinition"] for call in cloud.ecs.calls("DeregisterTaskDefinition")} == {
        f"{server}:1", f"{server}:7",
    }  # fmt: skip


def test_a_list_takes_the_ledgers_last_word_for_the_schema(monkeypatch: pytest.MonkeyPatch) -> None:
    """No task is started for it, and releases of that schema are not called BLOCKED."""
    cloud = Cloud()
    arn = f"arn:aws:ecs:eu-west-1:123456789012:task-definition/{NAMING.family('server')}:4"
    cloud.ecs.answers("DescribeServices", service({**deployment(4), "taskDefinition": arn}))
    cloud.ecs.answers("ListTaskDefinitions", {"taskDefinitionArns": [arn]})
    releases = cloud.releases
    heads = Heads(tracking="dc11669786a5", auth="f1a2b3c4d5e6")
    known = SimpleNamespace(
        revision="4", mlflow_version="3.17.2", image_digest="sha256:abc", environment_lock=None, heads=heads
    )
    contents = SimpleNamespace(releases=[SimpleNamespace(release=known)], dumps=[], state=None)
    monkeypatch.setattr(releases.ledger, "read", lambda: contents)
    assert releases.rollback_context(verify_checksums=False).live == heads
    assert not cloud.ecs.calls("RunTask")


def test_what_the_ledger_knows_is_taken_from_it_and_the_rest_from_the_definition() -> None:
    """Access and encryption keys are in no ledger, and decide whether it can be gone back to."""
    told = Release(revision="4", mlflow_version="unknown", access="basic", keyed=True)
    revision = Revision(id="4", release=told, state="serving", created_at=None)
    verified = VerifiedRelease(
        target="ecs", revision="4", mlflow_version="3.4.0", image_digest="sha256:a", heads=Heads(tracking="abc"),
        settings_hash="s", verification_id="v", verdict="pass",
    )  # fmt: skip
    record = Record(number=1, kind=Kind.RELEASE, at=datetime.now(UTC), by="me", body=verified, state=LedgerState())
    found, other = module._recorded((revision, replace(revision, id="5")), Contents(records=(record,)))
    assert found.release == Release(
        revision="4", mlflow_version="3.4.0", image_digest="sha256:a", schema_head="abc", access="basic", keyed=True
    )
    assert other.release == told


def test_the_ledger_is_read_once_before_a_switch(monkeypatch: pytest.MonkeyPatch) -> None:
    """It was read five times from S3: by the plan, by each list of revisions, by each wait."""
    cloud = Cloud()
    arn = f"arn:aws:ecs:eu-west-1:123456789012:task-definition/{NAMING.family('server')}:4"
    cloud.ecs.answers("DescribeServices", service({**deployment(4), "taskDefinition": arn}))
    cloud.ecs.answers("ListTaskDefinitions", {"taskDefinitionArns": [arn]})
    releases, read = cloud.releases, []
    monkeypatch.setattr(releases.ledger, "read", lambda: read.append("read") or Contents())
    releases.rollback_context(verify_checksums=False)
    releases.platform.busy()
    releases.platform.start_servers("4")
    assert releases.wait("4").serving
    assert read == ["read"]


@pytest.mark.parametrize("answer", [service(), service(deployment(4, runningCount=0)), {"services": []}])
def test_a_service_without_tasks_serves_nothing(answer: dict[str, Any]) -> None:
    """Verification compares what runs with what is intended: nothing is not a revision."""
    cloud = Cloud()
    cloud.ecs.answers("DescribeServices", answer)
    assert cloud.releases.platform.serving() is None
