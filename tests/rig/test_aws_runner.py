"""The task runner: what ECS promises about a service is kept by processes that one can count."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from tests.rig.aws.scene import CLUSTER, SERVICE, Scene
from tests.server.services import until

if TYPE_CHECKING:
    from tests.rig.aws.rig import AwsRig


@pytest.fixture(scope="module")
def scene(rig: AwsRig) -> Scene:
    """A service of two tasks that serves."""
    made = Scene(rig)
    made.serve(made.register(made.image()))
    made.settled()
    return made


def get(scene: Scene, path: str) -> Any:
    """Return a document that the balancer answers."""
    answer = urllib3.request("GET", scene.url + path, timeout=20, retries=False)
    assert answer.status == 200, answer.data
    return json.loads(answer.data)


def test_a_service_is_its_processes(scene: Scene) -> None:
    """As many processes as the service says run, each at an address of its own."""
    service = scene.service()
    assert service["runningCount"] == service["desiredCount"] == len(scene.rig.live_tasks) == 2
    assert len({task.address for task in scene.rig.live_tasks}) == 2


def test_secrets_reach_the_container_by_the_execution_role(scene: Scene) -> None:
    """A secret's JSON key is in the environment, and no administrator's key is."""
    environment = get(scene, "/env")
    assert isinstance(environment, dict)
    assert environment["PASSWORD"] == "s3cret"
    assert "AWS_ACCESS_KEY_ID" not in environment


def test_a_container_asks_aws_as_its_task_role(scene: Scene) -> None:
    """Credentials come from the container's endpoint, and are the task role's."""
    method, who = get(scene, "/whoami")
    assert method == "container-role"
    assert ":assumed-role/server/" in who
    assert get(scene, "/list") == ["first"]


def test_a_deployment_replaces_every_task(scene: Scene) -> None:
    """After it no old process lives, and the revision that was asked for is the one that serves."""
    revision = scene.register(scene.image())
    scene.update(revision)
    service = scene.settled()
    assert service["taskDefinition"] == revision
    assert service["deployments"][0]["rolloutState"] == "COMPLETED"
    assert scene.running() == [revision, revision]


def scales(scene: Scene, wanted: int) -> bool:
    """Return whether so many tasks have a process."""
    return len(scene.rig.live_tasks) == wanted


def test_scaling_starts_and_ends_processes(scene: Scene) -> None:
    """The count follows what is asked for, in both directions, without a new deployment."""
    before = scene.service()["deployments"][0]["id"]
    for wanted in (3, 1, 2):
        scene.ecs.update_service(cluster=CLUSTER, service=SERVICE, desiredCount=wanted)
        until(partial(scales, scene, wanted), what=f"{wanted} tasks")
    until(lambda: scene.service()["runningCount"] == 2, what="two running tasks")
    assert scene.service()["deployments"][0]["id"] == before


def test_what_a_container_prints_is_in_its_log_group(scene: Scene) -> None:
    """The stream is prefix/container/task, as the awslogs driver names it."""
    task = scene.rig.live_tasks[0]
    logs = scene.rig.client("logs")

    def lines() -> list[str]:
        found = logs.get_log_events(logGroupName="/scene", logStreamName=f"server/server/{task.id}")
        return [each["message"] for each in found["events"]]

    until(lambda: any(line.startswith("serving on") for line in lines()), what="the log")


def test_a_task_on_its_own_ends_with_its_code(scene: Scene) -> None:
    """A one-shot task runs its override's command once, and says how it ended."""
    revision = scene.register(scene.image())
    started = scene.ecs.run_task(
        cluster=CLUSTER,
        taskDefinition=revision,
        launchType="FARGATE",
        networkConfiguration=scene.network(),
        clientToken="once",
        overrides={"containerOverrides": [{"name": "server", "command": ["sh", "-c", "echo done; exit 7"]}]},
    )["tasks"][0]["taskArn"]

    def task() -> dict[str, object]:
        return dict(scene.ecs.describe_tasks(cluster=CLUSTER, tasks=[started])["tasks"][0])

    until(lambda: task()["lastStatus"] == "STOPPED", what="the task's end")
    ended = task()
    assert ended["containers"][0]["exitCode"] == 7  # type: ignore[index]
    assert ended["stopCode"] == "EssentialContainerExited"
    assert len(scene.rig.live_tasks) == 2
