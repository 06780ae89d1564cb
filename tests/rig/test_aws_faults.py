"""Deployments that ECS gives up on: the product names the cause, and the old revision serves again."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

import pytest
import urllib3

from mlflow_backend.aws.clients import Clients
from mlflow_backend.ecs.history import EcsHistory, ServiceName
from mlflow_backend.pace import Pace
from tests.rig.aws.scene import BUCKET, CLUSTER, SERVICE, Scene, allow
from tests.rig.contents import small
from tests.rig.faults import Fault, table

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.rig.aws.rig import AwsRig

_DEADLINE_S: Final = 120


@pytest.fixture(scope="module")
def scene(rig: AwsRig) -> Scene:
    """A service of one task that serves."""
    made = Scene(rig)
    made.serve(made.register(made.image()), desired=1)
    made.settled()
    return made


def good(scene: Scene) -> str:
    """Register a revision that works."""
    return scene.register(scene.image())


def lacking(scene: Scene, name: str, action: str) -> str:
    """Make an execution role without one grant."""
    held = [each for each in scene.execution_grants() if action not in each["Action"]]
    return scene.role(f"execution-without-{name}", held)


def encrypted(scene: Scene) -> str:
    """Make a secret under a key that the execution role may not use."""
    key = scene.rig.client("kms").create_key()["KeyMetadata"]["Arn"]
    made = scene.rig.client("secretsmanager").create_secret(
        Name="scene/encrypted", SecretString='{"password": "x"}', KmsKeyId=key
    )
    role = scene.role(
        "execution-without-key", [*scene.execution_grants(), allow("secretsmanager:GetSecretValue", made["ARN"])]
    )
    return scene.register(scene.image(), secret=f"{made['ARN']}:password::", execution=role)


FAULTS: Final[tuple[Fault[Scene], ...]] = (
    Fault(
        name="image-missing",
        mechanism="the registry has no image of this digest",
        cause="CannotPullContainerError",
        broken=lambda scene: scene.register(scene.image().rpartition("@")[0] + f"@sha256:{'0' * 64}"),
        control=good,
    ),
    Fault(
        name="image-of-another-registry",
        mechanism="the image is named in a registry that does not exist",
        cause="not found",
        broken=lambda scene: scene.register("registry.invalid/mlflow-backend:1"),
        control=good,
    ),
    Fault(
        name="image-for-arm64-only",
        mechanism="the index has linux/arm64 and the task runs on X86_64",
        cause="does not contain descriptor matching platform 'linux/amd64'",
        broken=lambda scene: scene.register(scene.image(platforms=["linux/arm64"])),
        control=lambda scene: scene.register(scene.image(platforms=["linux/amd64", "linux/arm64"])),
    ),
    Fault(
        name="image-lies-about-its-platform",
        mechanism="a single arm64 image without an index starts on X86_64",
        cause="exec format error",
        broken=lambda scene: scene.register(scene.image(platforms=["linux/arm64"], index=False)),
        control=lambda scene: scene.register(scene.image(index=False)),
    ),
    Fault(
        name="pull-denied",
        mechanism="the execution role may not read the repository",
        cause="403 Forbidden",
        broken=lambda scene: scene.register(scene.image(), execution=lacking(scene, "pull", "ecr:BatchGetImage")),
        control=good,
    ),
    Fault(
        name="execution-role-gone",
        mechanism="the execution role was deleted",
        cause="ECS was unable to assume the role",
        broken=lambda scene: scene.register(scene.image(), execution=f"{scene.execution}-gone"),
        control=good,
    ),
    Fault(
        name="task-role-not-for-tasks",
        mechanism="the task role trusts another service than ecs-tasks",
        cause="ECS was unable to assume the role",
        broken=lambda scene: scene.register(
            scene.image(), role=scene.role("lambda", [allow("s3:GetObject", "*")], service="lambda")
        ),
        control=good,
    ),
    Fault(
        name="secret-missing",
        mechanism="the task names a secret that is not there",
        cause="unable to retrieve secret from asm",
        broken=lambda scene: scene.register(scene.image(), secret=f"{scene.secret}x:password::"),
        control=good,
    ),
    Fault(
        name="secret-without-key",
        mechanism="the secret's document has no such key",
        cause="did not contain json key nonesuch",
        broken=lambda scene: scene.register(scene.image(), secret=f"{scene.secret}:nonesuch::"),
        control=good,
    ),
    Fault(
        name="secret-version-gone",
        mechanism="the task names a version of the secret that is not there",
        cause="ResourceNotFoundException",
        broken=lambda scene: scene.register(
            scene.image(), secret=f"{scene.secret}:password::00000000-0000-0000-0000-000000000000"
        ),
        control=good,
    ),
    Fault(
        name="secret-denied",
        mechanism="the execution role may not read the secret",
        cause="not authorized to perform: secretsmanager:GetSecretValue",
        broken=lambda scene: scene.register(
            scene.image(), execution=lacking(scene, "secret", "secretsmanager:GetSecretValue")
        ),
        control=good,
    ),
    Fault(
        name="secret-key-denied",
        mechanism="the secret is encrypted with a key that the execution role may not use",
        cause="not authorized to perform: kms:Decrypt",
        broken=encrypted,
        control=good,
    ),
    Fault(
        name="log-group-missing",
        mechanism="the log group was deleted",
        cause="failed to create Cloudwatch log stream: ResourceNotFoundException",
        broken=lambda scene: scene.register(scene.image(), group="/nonesuch", execution=scene.role(
            "execution-all-logs", [*scene.execution_grants(), allow("logs:*", "*")]
        )),
        control=good,
    ),
    Fault(
        name="log-stream-denied",
        mechanism="the execution role may not write logs",
        cause="not authorized to perform: logs:CreateLogStream",
        broken=lambda scene: scene.register(scene.image(), execution=lacking(scene, "logs", "logs:CreateLogStream")),
        control=good,
    ),
    Fault(
        name="crash-loop",
        mechanism="the server ends right after its start",
        cause="boom: cannot start",
        broken=lambda scene: scene.register(scene.image("crash")),
        control=good,
    ),
    Fault(
        name="command-missing",
        mechanism="the image has no such program",
        cause="exec nonesuch: no such file or directory",
        broken=lambda scene: scene.register(scene.image(), command=["nonesuch"]),
        control=good,
    ),
    Fault(
        name="unhealthy",
        mechanism="the server runs, and answers its health check with 500",
        cause="health checks",
        broken=lambda scene: scene.register(scene.image("sick")),
        control=good,
    ),
    Fault(
        name="wrong-port",
        mechanism="the server listens on another port than the balancer asks",
        cause="failed",
        broken=lambda scene: scene.register(
            scene.image(), command=["mlflow", "server", "--host", "0.0.0.0", "--port", "5001"]  # noqa: S104
        ),
        control=good,
    ),
)  # fmt: skip


def history(scene: Scene) -> EcsHistory:
    """Return the product's view of the service."""
    clients = Clients(ecs=scene.rig.client("ecs"), logs=scene.rig.client("logs"))
    name = ServiceName(region=scene.rig.region, cluster=CLUSTER, service=SERVICE)
    return EcsHistory(clients=clients, name=name, pace=Pace(poll_s=0.2))


@table(FAULTS)
def test_a_failed_deployment_is_named_and_undone(scene: Scene, fault: Fault[Scene]) -> None:
    """The wait fails with the cause; the circuit breaker goes back, and only the old revision has a process."""
    before = scene.service()["taskDefinition"]
    revision = fault.broken(scene)
    scene.update(revision)
    outcome = history(scene).wait(revision.rpartition(":")[2], deadline_s=_DEADLINE_S)
    service = scene.settled()
    assert not outcome.serving
    assert fault.cause in "\n".join(outcome.reasons), outcome.reasons
    assert service["taskDefinition"] == before
    assert scene.running() == [before]


def test_a_failing_task_is_reported_within_a_minute_of_its_exit_code(scene: Scene) -> None:
    """Where no circuit breaker ever gives up, too: the wait itself lasts as long as its deadline.

    Both times are the emulator's day's: of the task's end, and of the report.
    """
    scene.breaker(on=False)
    revision = scene.register(scene.image("crash"))
    reports: list[tuple[datetime, str]] = []

    def reported(said: str) -> None:
        reports.append((datetime.now(UTC), said))
        if len(reports) == 1:
            scene.update(good(scene))

    try:
        scene.update(revision)
        waiting = replace(history(scene), report_failure=reported)
        assert not waiting.wait(revision.rpartition(":")[2], deadline_s=_DEADLINE_S).serving
    finally:
        scene.breaker(on=True)
    ended = min(each["stoppedAt"] for each in scene.stopped(revision))
    first, said = reports[0]
    assert "exited with code 1" in said
    assert "boom: cannot start" in said
    assert first - ended < timedelta(seconds=60)
    scene.settled()


@pytest.mark.parametrize("fault", [row for row in FAULTS if row.control is not good], ids=lambda row: row.name)
def test_its_own_control_serves(scene: Scene, fault: Fault[Scene]) -> None:
    """The same registration without the fault is served."""
    serves(scene, fault.control(scene))


def test_the_common_control_serves(scene: Scene) -> None:
    """What the other rows break is served when it is not broken."""
    serves(scene, good(scene))


def serves(scene: Scene, revision: str) -> None:
    """Deploy a revision, and hold the product's wait and the processes to it."""
    scene.update(revision)
    outcome = history(scene).wait(revision.rpartition(":")[2], deadline_s=_DEADLINE_S)
    assert outcome.serving, outcome.reasons
    scene.settled()
    assert scene.running() == [revision]


def listing(name: str, *statements: dict[str, Any]) -> Callable[[Scene], str]:
    """Return what serves with a role of these grants, and what its server is answered when it lists its bucket."""

    def listed(scene: Scene) -> str:
        role = scene.role(name, [allow("s3:GetObject", f"arn:aws:s3:::{BUCKET}/*"), *statements])
        serves(scene, scene.register(scene.image(), role=role))
        return urllib3.request("GET", f"{scene.url}/list", timeout=20, retries=False).data.decode()

    return listed


_OBJECTS, _BUCKET = f"arn:aws:s3:::{BUCKET}/*", f"arn:aws:s3:::{BUCKET}"
ROLES: Final = (
    Fault(
        name="listbucket-missing",
        mechanism="the task role may read objects and not list them, as a real deployment's could not",
        cause="AccessDenied",
        broken=listing("server-without-list"),
        control=listing("server-with-list", allow("s3:ListBucket", _BUCKET)),
    ),
    Fault(
        name="listbucket-on-objects",
        mechanism="s3:ListBucket is granted on the objects' ARN, which no listing has",
        cause="AccessDenied",
        broken=listing("server-list-on-objects", allow("s3:ListBucket", _OBJECTS)),
        control=listing("server-list-on-both", allow("s3:ListBucket", [_BUCKET, _OBJECTS])),
    ),
)


@table(ROLES)
def test_a_role_that_lacks_a_grant_serves_and_fails(scene: Scene, fault: Fault[Scene]) -> None:
    """ECS calls it healthy all the same: only a request by the server itself finds it, and the control's lists."""
    assert fault.cause in fault.broken(scene)
    assert "first" in fault.control(scene)


def test_a_tiny_image_is_what_it_says() -> None:
    """The table's images differ by their behaviour alone."""
    assert small("crash").environment["RIG_BEHAVIOUR"] == "crash"
    assert small("crash").binds == small().binds
