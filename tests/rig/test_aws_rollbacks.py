"""Rollbacks on an ECS that keeps its promises: killed, two at once, throttled, in the middle of a deployment.

The target is the product's own; only the schema is a known value, for these containers have no database.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import pytest
from botocore.exceptions import ClientError
from moto.core.exceptions import JsonRESTError
from moto.ecs.responses import EC2ContainerServiceResponse

from mlflow_backend.aws import clients
from mlflow_backend.aws.connection import Connection
from mlflow_backend.contract import ExitCode, Refused
from mlflow_backend.deployed import DeployedBackend
from mlflow_backend.ecs.history import ServiceName
from mlflow_backend.ecs.locator import EcsLocator
from mlflow_backend.ecs.oneshot import Network
from mlflow_backend.ecs.platform import EcsPlatform
from mlflow_backend.pace import Pace
from mlflow_backend.releases import run
from mlflow_backend.releases.plan import Request, Step, plan
from mlflow_backend.releases.records import VerifiedRelease
from mlflow_backend.schema_tables import required_heads
from tests.rig.aws.scene import BUCKET, CLUSTER, FAMILY, SERVICE, VERSION, Scene
from tests.rig.faults import Fault, table
from tests.rig.patches import Patches
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow_backend.schema import Heads
    from tests.rig.aws.rig import AwsRig

_OPTIONS: Final = run.RollbackOptions(reason="a test")
# More than the product's clients ask: they give up.
_FOR_EVER, _A_FEW = 1000, 3


class Killed(BaseException):
    """The process ended here."""


class Service(EcsPlatform):
    """The product's platform, whose schema is known."""

    def heads(self) -> Heads | None:
        """Return the heads of the one MLflow version of these containers."""
        return required_heads(VERSION, auth=False)


@dataclass
class World:
    """A service at its second verified revision, and what rolls it back to the first."""

    scene: Scene
    first: str
    second: str

    def releases(self) -> DeployedBackend:
        """Return a target as a command of its own would open it."""
        locator = EcsLocator(
            stack="scene",
            service=ServiceName(region=self.scene.rig.region, cluster=CLUSTER, service=SERVICE),
            bucket=BUCKET,
            server_family=FAMILY,
            database_family=FAMILY,
            verify_family=FAMILY,
            tasks_logs="/scene",
            network=Network(
                subnets=tuple(self.scene.subnets), security_groups=(self.scene.group,), public_address=False
            ),
            url=self.scene.url,
            secret="",
            access="none",
        )
        service = Service(locator, clients.connections(Connection(self.scene.rig.region)))
        service.pace = Pace(poll_s=0.2)
        return DeployedBackend(service)

    def begin(self, target: DeployedBackend, *, force: bool = False) -> run.RollbackResult:
        """Roll back to the first revision, as the command does."""
        with target.rollback_lock():
            ended = run.resume(target, to=None, say=print)
            if ended is not None:
                return ended
            wanted = Request(to=number(self.first), verify=False, force=force)
            return run.begin(target, plan(target.rollback_context(verify_checksums=False), wanted), _OPTIONS, say=print)

    def reset(self) -> None:
        """Serve the second revision again, with no pin and nothing unfinished."""
        target = self.releases()
        target.rollback.close()
        if target.ledger.state().pin is not None:
            target.ledger.add_unpin("the next test")
        if self.scene.service()["taskDefinition"] != self.second:
            self.scene.update(self.second)
        self.scene.settled()
        until(lambda: set(self.scene.running()) == {self.second}, what="the second revision")

    def served(self, revision: str) -> None:
        """Hold ECS and the processes to a revision: no old task answers for a new one."""
        service = self.scene.settled()
        assert service["taskDefinition"] == revision
        assert self.scene.running() == [revision] * service["desiredCount"]


def number(arn: str) -> str:
    """Return a revision's number."""
    return arn.rpartition(":")[2]


@pytest.fixture(scope="module")
def made(rig: AwsRig) -> World:
    """Two revisions, both verified; the second serves."""
    scene = Scene(rig)
    first, second = scene.register(scene.image()), scene.register(scene.image())
    scene.serve(second, desired=1)
    scene.settled()
    return World(scene, first, second)


@pytest.fixture
def world(made: World, rig: AwsRig, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    """The world as it was, for a command with an administrator's environment."""
    for name, value in rig.environment.items():
        monkeypatch.setenv(name, value)
    ledger = made.releases().ledger
    if not ledger.read().releases:
        for revision in (made.first, made.second):
            ledger.add_release(verified(revision))
    made.reset()
    yield made
    made.reset()


def verified(revision: str) -> VerifiedRelease:
    """Return the ledger's record of a revision."""
    heads = required_heads(VERSION, auth=False)
    assert heads is not None
    return VerifiedRelease(
        target="ecs", revision=number(revision), mlflow_version=VERSION, heads=heads, settings_hash=number(revision),
        verification_id="v", verdict="pass", image_digest=f"sha256:{'0' * 64}",
    )  # fmt: skip


@pytest.mark.parametrize("step", [Step.ACTIVATE, Step.WAIT, Step.RECORD])
@pytest.mark.parametrize("written", [False, True], ids=["before-its-entry", "after-its-entry"])
def test_a_killed_rollback_is_finished_by_the_next_one(world: World, step: Step, written: bool) -> None:  # noqa: FBT001
    """Killed at any step, just before or after its journal entry, it ends in the target, pinned once."""
    victim = world.releases()
    write = victim.rollback.write

    def killed(document: dict[str, Any]) -> None:
        if document["steps"][:1] == [step.value]:
            if written:
                write(document)
            raise Killed
        write(document)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(victim.rollback, "write", killed)
        with pytest.raises(Killed):
            world.begin(victim)
    ended = world.begin(world.releases())
    assert ended.exit_code is ExitCode.DONE
    world.served(world.first)
    pin = world.releases().ledger.state().pin
    assert pin is not None
    assert pin.revision == number(world.first)
    assert world.releases().rollback.load() is None


def in_progress(world: World) -> str:
    """Roll back while ECS deploys something else."""
    world.scene.update(world.scene.register(world.scene.image("sick")))
    until(lambda: len(world.scene.service()["deployments"]) == 2, what="a deployment under way")
    return said(world)


def two_at_once(world: World) -> str:
    """Run two rollbacks from two machines; return what the one that came second was told."""
    told: list[str] = []
    start = threading.Barrier(2)

    def one(target: DeployedBackend) -> None:
        start.wait(timeout=30)
        try:
            told.append(world.begin(target).sentence)
        except Refused as refusal:
            told.append(str(refusal))

    runs = [threading.Thread(target=one, args=(world.releases(),)) for _ in range(2)]
    for each in runs:
        each.start()
    for each in runs:
        each.join(timeout=120)
    world.served(world.first)
    refused = [each for each in told if "serves and is pinned" not in each]
    assert len(told) == 2
    assert len(refused) == 1, told
    return refused[0]


def failing(code: str, status: int, times: int) -> Patches:
    """Let ECS answer DescribeServices with an error so many times."""
    left = [times]
    patches = Patches()

    def answer(response: Any) -> Any:
        if left[0]:
            left[0] -= 1
            error = JsonRESTError(code, "Rate exceeded")
            error.code = status
            raise error
        return before(response)

    before = patches.put(EC2ContainerServiceResponse, "describe_services", answer)
    return patches


def asked_while(code: str, status: int, times: int) -> Any:
    """Return a rollback under an error of the API."""

    def rolled_back(world: World) -> str:
        with failing(code, status, times):
            return said(world)

    return rolled_back


def said(world: World) -> str:
    """Roll back, and return what was said."""
    try:
        return world.begin(world.releases()).sentence
    except Refused as refusal:
        return str(refusal)
    except ClientError as error:
        return str(error)


FAULTS: Final = (
    Fault(
        name="deployment-in-progress",
        mechanism="a rollback is asked for while ECS deploys another revision",
        cause="A deployment is in progress",
        broken=in_progress,
        control=said,
    ),
    Fault(
        name="two-rollbacks",
        mechanism="two people roll back at the same moment",
        cause="Another command of",
        broken=two_at_once,
        control=said,
    ),
    Fault(
        name="throttled",
        mechanism="ECS throttles without end; the control only a few times",
        cause="ThrottlingException",
        broken=asked_while("ThrottlingException", 400, _FOR_EVER),
        control=asked_while("ThrottlingException", 400, _A_FEW),
    ),
    Fault(
        name="server-error",
        mechanism="ECS answers 503 without end; the control only a few times",
        cause="ServerException",
        broken=asked_while("ServerException", 503, _FOR_EVER),
        control=asked_while("ServerException", 503, _A_FEW),
    ),
)


@table(FAULTS)
def test_a_rollback_that_cannot_be_says_why(world: World, fault: Fault[World]) -> None:
    """The cause is named, and nothing is left unfinished."""
    assert fault.cause in fault.broken(world)
    assert world.releases().rollback.load() is None


@table(FAULTS)
def test_its_control_rolls_back(world: World, fault: Fault[World]) -> None:
    """Without the fault, or with so little of it that a client's patience covers it, the target serves."""
    assert "serves and is pinned" in fault.control(world)
    world.served(world.first)


def test_force_ends_what_is_being_deployed(world: World) -> None:
    """With --force the deployment under way is stopped, and none of its tasks is left."""
    world.scene.update(world.scene.register(world.scene.image("sick")))
    until(lambda: len(world.scene.service()["deployments"]) == 2, what="a deployment under way")
    assert world.begin(world.releases(), force=True).exit_code is ExitCode.DONE
    world.served(world.first)


def test_a_scaled_service_stays_scaled(world: World) -> None:
    """A rollback replaces as many tasks as there are, whatever the program once asked for."""
    world.scene.ecs.update_service(cluster=CLUSTER, service=SERVICE, desiredCount=3)
    until(lambda: len(world.scene.rig.live_tasks) == 3, what="three tasks")
    assert world.begin(world.releases()).exit_code is ExitCode.DONE
    world.served(world.first)
    assert len(world.scene.rig.live_tasks) == 3
    world.scene.ecs.update_service(cluster=CLUSTER, service=SERVICE, desiredCount=1)
