"""History: revisions by number, a switch that is really one, and a wait that a circuit breaker cannot fool."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from mlflow_backend.aws.clients import Clients, connect
from mlflow_backend.aws.connection import Connection
from mlflow_backend.contract import Refused, Release
from mlflow_backend.ecs import deployments, history
from mlflow_backend.ecs.deployments import RolloutState, TaskDefinitionId
from mlflow_backend.ecs.history import EcsHistory
from mlflow_backend.hosted import UNKNOWN_VERSION
from tests.components.ecs.recorded import REGION, Recorded
from tests.components.ecs.services import BROKEN, FAMILY, NAME, OLD, STARTING, Aws, definition_arn, deployment, service

if TYPE_CHECKING:
    from collections.abc import Iterator

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


WANTED = TaskDefinitionId(family=FAMILY, number=42)


def without_state(found: dict[str, Any]) -> dict[str, Any]:
    """Return a deployment without its rollout state."""
    return {key: value for key, value in found.items() if key != "rolloutState"}


@pytest.mark.parametrize(
    ("answer", "standing", "reason"),
    [
        (service(deployment(42)), RolloutState.SERVING, ""),
        (service(STARTING, OLD), RolloutState.WAITING, "1 of 2 tasks run, 1 are starting"),
        (service(deployment(42, rolloutState="IN_PROGRESS")), RolloutState.WAITING, "2 of 2"),
        (service(deployment(42, runningCount=1)), RolloutState.WAITING, "1 of 2"),
        (service(deployment(42, rolloutState="FAILED", runningCount=0)), RolloutState.FAILED, "completed"),
        (
            service(deployment(41), BROKEN),
            RolloutState.FAILED,
            "circuit breaker: tasks failed to start.; the service is at",
        ),
        (service(deployment(41)), RolloutState.ELSEWHERE, "the service is at revision 41, not at 42"),
        (
            service(deployment(41), {**BROKEN, "taskDefinition": definition_arn(43)}),
            RolloutState.ELSEWHERE,
            "not at 42",
        ),
        (service(deployment(42, desiredCount=0, runningCount=0)), RolloutState.FAILED, "desired count is 0"),
        (service(deployment(42), status="DRAINING"), RolloutState.FAILED, "the service is DRAINING"),
        (service(), RolloutState.ELSEWHERE, "no deployment"),
        # A Classic Load Balancer's service has no rollout state.
        (service(without_state(deployment(42))), RolloutState.SERVING, ""),
        (service(without_state(deployment(42, pendingCount=1))), RolloutState.WAITING, "1 are starting"),
    ],
)
def test_stable_is_not_the_same_as_serving(answer: dict[str, Any], standing: RolloutState, reason: str) -> None:
    """Only the wanted revision, completed, with all its tasks, serves, whatever counts the service shows."""
    found = deployments.assess(answer["services"][0], WANTED)
    assert found.state is standing
    assert reason in found.reason


def test_botocores_own_waiter_is_fooled_by_a_rollback() -> None:
    """The control: what this module exists for. After a circuit breaker's rollback the waiter says stable."""
    client = Recorded("ecs").answers("DescribeServices", {"services": [
        {**service(deployment(41))["services"][0], "runningCount": 2, "desiredCount": 2},
    ]}).client  # fmt: skip
    client.get_waiter("services_stable").wait(cluster="backend", services=["server"])


@pytest.mark.parametrize(
    ("text", "expected"),
    [("mlflow:7", ("mlflow", 7)), (definition_arn(41), ("mlflow", 41)), ("a-b_c:1", ("a-b_c", 1))],
)
def test_task_definitions_are_named_either_way(text: str, expected: tuple[str, int]) -> None:
    """ECS gives ARNs; moto and old services give back the text that they were given."""
    found = deployments.identify(text)
    assert (found.family, found.number) == expected


@pytest.mark.parametrize("text", ["", "mlflow", "mlflow:", "mlflow:x", "arn:aws:ecs:r:1:service/c/s"])
def test_anything_else_names_no_task_definition(text: str) -> None:
    """A service's ARN is no revision."""
    with pytest.raises(ValueError, match="task definition"):
        deployments.identify(text)


def test_waiting_ends_when_the_revision_serves() -> None:
    """The wait ends only after all its tasks run."""
    aws = Aws()
    aws.ecs.answers("DescribeServices", service(STARTING, OLD), service(STARTING, OLD), service(deployment(42)))
    assert aws.history.wait("42", deadline_s=600).serving
    assert aws.time.pauses == [3.0, 3.0]


def test_a_circuit_breakers_rollback_is_a_failure() -> None:
    """ECS is stable and healthy, at the old revision: the update failed, in ECS's own words."""
    aws = Aws()
    aws.ecs.answers("DescribeServices", service(STARTING, OLD), service(deployment(41), BROKEN))
    outcome = aws.history.wait("42", deadline_s=600)
    assert not outcome.serving
    assert "circuit breaker: tasks failed to start." in outcome.reasons[0]
    assert "the service is at revision 41" in outcome.reasons[0]


def test_a_rollback_that_is_long_over_is_a_failure() -> None:
    """The failed deployment has left the answer; what was once seen starting and is gone has failed at once."""
    aws = Aws()
    aws.ecs.answers("DescribeServices", service(STARTING, OLD), service(deployment(41)))
    outcome = aws.history.wait("42", deadline_s=600)
    assert not outcome.serving
    assert outcome.reasons[0] == "the service is at revision 41, not at 42"
    assert aws.time.pauses == [3.0]


def test_an_answer_may_lag_but_not_for_ever() -> None:
    """A revision that was not seen yet is waited for a little, then it has failed."""
    aws = Aws()
    aws.ecs.answers("DescribeServices", service(deployment(41)), service(deployment(41)), service(deployment(42)))
    assert aws.history.wait("42", deadline_s=600).serving
    never = Aws()
    never.ecs.answers("DescribeServices", service(deployment(41)))
    assert not never.history.wait("42", deadline_s=600).serving
    assert 15 <= never.time.now < 30


def test_the_deadline_is_kept_and_named() -> None:
    """Waiting never outlives its deadline by more than one question."""
    aws = Aws()
    aws.ecs.answers("DescribeServices", service(STARTING, OLD))
    outcome = aws.history.wait("42", deadline_s=60)
    assert not outcome.serving
    assert outcome.reasons[0].startswith("not serving after 60 s: 1 of 2 tasks run")
    assert 60 <= aws.time.now < 66


def test_the_platforms_own_reasons_are_reported() -> None:
    """Stopped tasks, events since the wait began, last log lines; a password in a log line is blanked.

    The log is the crashed task's, though ECS ended one in the middle of its start after it.
    """
    aws = Aws()
    later = datetime.now(UTC) + timedelta(hours=1)
    events = ((later, "(service server) was unable to place a task."), (NOW - timedelta(days=900), "old news"))
    aws.ecs.answers("DescribeServices", service(deployment(41), BROKEN, events=events))
    aws.ecs.answers("ListTasks", {"taskArns": ["t/1", "t/2"]})
    container = {"name": "server", "exitCode": 1, "reason": "OutOfMemoryError: Container killed due to memory usage"}
    stopped = {
        "stopCode": "EssentialContainerExited", "stoppedReason": "Essential container in task exited",
        "stoppedAt": NOW, "containers": [container],
    }  # fmt: skip
    arn = f"arn:aws:ecs:{REGION}:123456789012:task/backend/abc"
    aws.ecs.answers("DescribeTasks", {"tasks": [
        {"taskArn": arn, "taskDefinitionArn": definition_arn(42), **stopped},
        {
            "taskArn": "ended/last", "taskDefinitionArn": definition_arn(42), "stopCode": "ServiceSchedulerInitiated",
            "stoppedReason": "Scaling activity", "stoppedAt": later, "containers": [{"name": "server"}],
        },
        {"taskArn": "another", "taskDefinitionArn": definition_arn(41), **stopped, "stoppedReason": "of revision 41"},
    ]})  # fmt: skip
    options = {"awslogs-group": "/g", "awslogs-stream-prefix": "server", "awslogs-region": REGION}
    aws.ecs.answers("DescribeTaskDefinition", {"taskDefinition": {"containerDefinitions": [
        {"name": "server", "logConfiguration": {"logDriver": "awslogs", "options": options}},
    ]}})  # fmt: skip
    lines = ["exec /usr/local/bin/mlflow: exec format error", "postgresql://mlflow:hunter2@db:5432/x is bad"]
    aws.logs.answers("GetLogEvents", {"events": [{"message": line} for line in lines]})
    told = aws.history.wait("42", deadline_s=600).reasons
    assert "task stopped: Essential container in task exited" in told
    assert "container server: OutOfMemoryError: Container killed due to memory usage" in told
    assert "container server exited with code 1" in told
    assert "(service server) was unable to place a task." in told
    assert "log of server: exec /usr/local/bin/mlflow: exec format error" in told
    assert "log of server: postgresql://mlflow:***@db:5432/x is bad" in told
    assert not any("old news" in word or "revision 41," in word or "of revision 41" in word for word in told)
    assert aws.logs.calls("GetLogEvents")[0]["logStreamName"] == "server/server/abc"


def test_a_failing_task_is_reported_once_and_long_before_the_end(caplog: pytest.LogCaptureFixture) -> None:
    """One that ECS ended because it needs fewer has not failed, nor has one of a deployment of long ago."""
    aws = Aws()
    starting = {**STARTING, "id": "ecs-svc/now"}
    aws.ecs.answers("DescribeServices", service(starting, OLD))
    aws.ecs.answers("DescribeTaskDefinition", {"taskDefinition": {}})
    aws.ecs.answers("ListTasks", {"taskArns": ["t/1"]})
    crashed = {
        "taskDefinitionArn": definition_arn(42), "stopCode": "EssentialContainerExited",
        "stoppedReason": "Essential container in task exited", "containers": [{"name": "server", "exitCode": 3}],
    }  # fmt: skip
    aws.ecs.answers("DescribeTasks", {"tasks": [
        {**crashed, "taskArn": "a/crashed", "startedBy": "ecs-svc/now"},
        {**crashed, "taskArn": "a/long-ago", "startedBy": "ecs-svc/then"},
        {
            **crashed, "taskArn": "a/scaled", "startedBy": "ecs-svc/now",
            "stoppedReason": "Scaling activity initiated by (deployment ecs-svc/now)",
        },
    ]})  # fmt: skip
    reported: list[tuple[float, str]] = []
    waiting = replace(aws.history, report_failure=lambda said: reported.append((aws.time.now, said)))
    assert not waiting.wait("42", deadline_s=600).serving
    ((at, said),) = reported
    assert at <= 30
    assert "exited with code 3" in said
    # By itself it is a warning, which the engine and each command show.
    aws.history.wait("42", deadline_s=60)
    assert [record.levelname for record in caplog.records if "code 3" in record.getMessage()] == ["WARNING"]


def test_a_task_that_never_started_has_no_log() -> None:
    """Its reasons are reported all the same."""
    aws = Aws()
    aws.ecs.answers("DescribeServices", service(deployment(41), BROKEN))
    aws.ecs.answers("ListTasks", {"taskArns": ["t/1"]})
    reason = "CannotPullContainerError: image Manifest does not contain descriptor matching platform 'linux/amd64'"
    aws.ecs.answers("DescribeTasks", {"tasks": [
        {
            "taskArn": "a/b", "taskDefinitionArn": definition_arn(42), "stoppedReason": reason, "stoppedAt": NOW,
            "containers": [{"name": "server"}],
        },
    ]})  # fmt: skip
    options = {"awslogs-group": "/g", "awslogs-stream-prefix": "server"}
    aws.ecs.answers("DescribeTaskDefinition", {"taskDefinition": {"containerDefinitions": [
        {"name": "server", "logConfiguration": {"logDriver": "awslogs", "options": options}},
    ]}})  # fmt: skip
    aws.logs.answers("GetLogEvents", "ResourceNotFoundException")
    assert f"task stopped: {reason}" in aws.history.wait("42", deadline_s=600).reasons


def test_activate_updates_the_service_to_exactly_that_revision() -> None:
    """UpdateService with the number, and nothing registered."""
    aws = Aws()
    aws.ecs.answers("DescribeServices", service(deployment(42)))
    aws.ecs.answers("DescribeTaskDefinition", {"taskDefinition": {"status": "ACTIVE"}})
    aws.ecs.answers("UpdateService", {})
    aws.history.activate("41")
    assert aws.ecs.calls("UpdateService") == [
        {"cluster": "backend", "service": "server", "taskDefinition": "mlflow:41"}
    ]
    assert not aws.ecs.calls("RegisterTaskDefinition")


def test_what_serves_already_is_left_alone() -> None:
    """No new deployment for nothing."""
    aws = Aws()
    aws.ecs.answers("DescribeServices", service(deployment(42)))
    aws.ecs.answers("DescribeTaskDefinition", {"taskDefinition": {"status": "ACTIVE"}})
    aws.history.activate("42")
    assert not aws.ecs.calls("UpdateService")


@pytest.mark.parametrize("answer", [{"taskDefinition": {"status": "INACTIVE"}}, "ClientException"])
def test_a_revision_that_is_gone_is_refused(answer: Any) -> None:
    """Before anything is touched."""
    aws = Aws()
    aws.ecs.answers("DescribeServices", service(deployment(42))).answers("DescribeTaskDefinition", answer)
    with pytest.raises(Refused, match="Revision 41 is not there"):
        aws.history.activate("41")
    with pytest.raises(Refused, match="is not there"):
        aws.history.activate("latest")
    assert not aws.ecs.calls("UpdateService")


def test_a_deployment_in_progress_is_stopped_only_by_force() -> None:
    """Refused without it; with it the deployment is stopped first, then the service updated."""
    aws = Aws()
    aws.ecs.answers("DescribeServices", service(STARTING, OLD))
    aws.ecs.answers("DescribeTaskDefinition", {"taskDefinition": {"status": "ACTIVE"}})
    assert aws.history.busy() == "revision 42, 1 of 2 tasks run"
    with pytest.raises(Refused, match="deployment of revision 42 is in progress"):
        aws.history.activate("40")
    assert not aws.ecs.calls("UpdateService")
    aws.ecs.answers("ListServiceDeployments", {"serviceDeployments": [{"serviceDeploymentArn": "d/1"}]})
    aws.ecs.answers("StopServiceDeployment", {}).answers("UpdateService", {})
    aws.history.activate("40", force=True)
    operations = [name for name, _ in aws.ecs.asked]
    assert operations.index("StopServiceDeployment") < operations.index("UpdateService")
    assert aws.ecs.calls("StopServiceDeployment")[0]["stopType"] == "ROLLBACK"


def test_a_quiet_service_is_not_busy() -> None:
    """A completed deployment is no deployment in progress."""
    aws = Aws()
    aws.ecs.answers("DescribeServices", service(deployment(42)))
    assert aws.history.busy() is None


def test_a_service_that_is_not_there_is_refused() -> None:
    """The message has its whole address."""
    aws = Aws()
    aws.ecs.answers("DescribeServices", {"services": []})
    with pytest.raises(Refused, match=f"server in the cluster backend .{REGION}."):
        aws.history.current()


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (service(deployment(42)), 42),
        (service(STARTING, OLD), 41),
        (service(deployment(42, rolloutState="IN_PROGRESS")), 42),
        (service(deployment(42, rolloutState="FAILED", runningCount=0)), None),
    ],
)
def test_current_is_the_one_that_answers(answer: dict[str, Any], expected: int | None) -> None:
    """During a deployment users are still served by the old revision."""
    found = deployments.serving(answer["services"][0])
    assert (found.number if found else None) == expected


@pytest.fixture
def cloud(monkeypatch: pytest.MonkeyPatch) -> Iterator[Clients]:
    """Moto, for what it tells truthfully: task definitions, their listing and their end."""
    for name, value in {
        "AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b", "AWS_SESSION_TOKEN": "c", "AWS_DEFAULT_REGION": REGION,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    with mock_aws():
        yield connect(Connection(REGION))


def _register(clients: Clients, *, version: str = "3.17.2", family: str = FAMILY) -> None:
    clients.ecs.register_task_definition(
        family=family,
        containerDefinitions=[{
            "name": "server", "memory": 512, "image": f"r/mlflow@sha256:{version}",
            "dockerLabels": {"mlflow-backend.mlflow-version": version},
        }],
    )  # fmt: skip


def _serve(clients: Clients, number: int) -> EcsHistory:
    """Make a service whose revision is `number`, and return its history."""
    clients.ecs.create_cluster(clusterName="backend")
    clients.ecs.create_service(
        cluster="backend", serviceName="server", taskDefinition=f"{FAMILY}:{number}", desiredCount=1
    )
    return EcsHistory(clients=clients, name=NAME)


def test_revisions_are_listed_by_number_with_what_they_run(cloud: Clients) -> None:
    """Newest first however ECS orders them; a deregistered one is gone; other families stay out."""
    for version in ("2.9.2", "3.4.0", "3.17.2"):
        _register(cloud, version=version)
    _register(cloud, family=f"{FAMILY}-database")
    cloud.ecs.deregister_task_definition(taskDefinition=f"{FAMILY}:1")
    found = _serve(cloud, 3).revisions()
    assert [revision.id for revision in found] == ["3", "2", "1"]
    assert [revision.state for revision in found][1:] == ["stopped", "gone"]
    assert found[1].release == Release(revision="2", mlflow_version="3.4.0", image_digest="sha256:3.4.0", keyed=False)
    assert found[2].release.mlflow_version == UNKNOWN_VERSION


def test_listing_goes_through_all_pages() -> None:
    """ECS gives a hundred at a time, in an order that is not relied on."""
    aws = Aws()
    aws.ecs.answers("DescribeServices", service(deployment(250)))
    numbers = [3, 1, 2, *range(4, 251)]
    pages = [numbers[start : start + 100] for start in range(0, 250, 100)]
    answers = [
        {"taskDefinitionArns": [definition_arn(n) for n in page], **({"nextToken": str(at)} if at < 2 else {})}
        for at, page in enumerate(pages)
    ]
    aws.ecs.answers("ListTaskDefinitions", *answers, {"taskDefinitionArns": [definition_arn(9, "mlflow-other")]})
    aws.ecs.answers("DescribeTaskDefinition", {"taskDefinition": {"status": "ACTIVE", "registeredAt": NOW}})
    found = aws.history.revisions()
    assert [revision.id for revision in found] == [str(n) for n in range(250, 0, -1)]
    assert len(aws.ecs.calls("DescribeTaskDefinition")) == history.DESCRIBED
    assert [call["status"] for call in aws.ecs.calls("ListTaskDefinitions")] == ["ACTIVE"] * 3 + ["INACTIVE"]
    assert found[0].state == "serving"
    assert found[0].created_at == NOW
    assert found[-1].created_at is None


def test_states_are_distinguished() -> None:
    """Serving, starting, failed, stopped and gone."""
    aws = Aws()
    aws.ecs.answers("DescribeServices", service(STARTING, OLD, deployment(40, status="ACTIVE", rolloutState="FAILED")))
    held = {"taskDefinitionArns": [definition_arn(n) for n in (39, 40, 41, 42)]}
    aws.ecs.answers("ListTaskDefinitions", held, {"taskDefinitionArns": [definition_arn(38)]})
    aws.ecs.answers("DescribeTaskDefinition", {"taskDefinition": {}})
    states = {revision.id: revision.state for revision in aws.history.revisions()}
    assert states == {"42": "starting", "41": "serving", "40": "failed", "39": "stopped", "38": "gone"}


def test_prune_keeps_what_could_be_needed(cloud: Clients) -> None:
    """The newest, the one in use and the spared ones stay, whatever the retention."""
    for _ in range(8):
        _register(cloud)
    served = _serve(cloud, 2)
    assert served.prune(retain=3, spared=frozenset({"4"})) == ("5", "3", "1")
    left = {revision.id for revision in served.revisions() if revision.state != "gone"}
    assert left == {"8", "7", "6", "4", "2"}
    assert served.prune(retain=3, spared=frozenset({"4"})) == ()


def test_prune_never_drops_what_a_deployment_still_needs() -> None:
    """While a new revision starts, the old one is where a failure goes back to."""
    for retain in (0, 1):
        aws = Aws()
        aws.ecs.answers("DescribeServices", service(STARTING, OLD))
        aws.ecs.answers("ListTaskDefinitions", {"taskDefinitionArns": [definition_arn(n) for n in (40, 41, 42)]})
        aws.ecs.answers("DeregisterTaskDefinition", {})
        assert aws.history.prune(retain=retain, spared=frozenset()) == ("40",)


def test_prune_never_drops_what_a_service_is_set_to_run() -> None:
    """A service can be without a deployment, and its next task is still of this revision."""
    aws = Aws()
    aws.ecs.answers("DescribeServices", service(taskDefinition=definition_arn(40)))
    aws.ecs.answers("ListTaskDefinitions", {"taskDefinitionArns": [definition_arn(n) for n in (39, 40)]})
    aws.ecs.answers("DeregisterTaskDefinition", {})
    assert aws.history.prune(retain=0, spared=frozenset()) == ("39",)


def test_a_recorded_answer_is_one_that_ecs_could_give() -> None:
    """The player of recorded answers refuses what botocore's model does not know."""
    with pytest.raises(AssertionError, match="Invalid type"):
        Recorded("ecs").answers("DescribeServices", {"services": "none"})


def test_clients_have_deadlines(monkeypatch: pytest.MonkeyPatch) -> None:
    """No call waits for ever, and throttling is waited out."""
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    made = connect(Connection(REGION))
    for client in (made.ecs, made.logs):
        config = client.meta.config
        assert config.connect_timeout == 5
        assert config.read_timeout == 20
        assert config.retries == {"mode": "standard", "total_max_attempts": 6}
    assert len(set(itertools.chain([made.ecs.meta.region_name], [made.logs.meta.region_name]))) == 1
