"""The five verbs of the ecs target: list revisions, current, activate, wait, prune (contract.History).

A revision is a task definition of the service's family, and is called by its number. Listing costs one call a hundred
revisions; what a revision runs costs one call each, which ECS throttles at a few dozen, so it is asked for the newest
only; for the others the ledger says it (deployed.DeployedBackend).
"""

from __future__ import annotations

import re
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.aws.asking import Unanswered, asked
from mlflow_backend.contract import PlatformFailed, Refused, Revision, RevisionState, WaitOutcome
from mlflow_backend.ecs import deployments, reasons
from mlflow_backend.ecs.deployments import RolloutState, TaskDefinitionId
from mlflow_backend.ecs.failing import FailingTasks, warn
from mlflow_backend.ecs.render.containers import SETTINGS_LABEL, VERSION_LABEL
from mlflow_backend.hosted import ServerContainer
from mlflow_backend.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mypy_boto3_ecs import ECSClient

    from mlflow_backend.aws.clients import Clients
    from mlflow_backend.target import Described

DESCRIBED: Final = 50
"""How many of the newest revisions are asked what they run: the burst that ECS allows before it throttles."""

_VERSION_TAG: Final = re.compile(r":v?(\d+\.\d+\.\d+)$", re.ASCII)
_CALLERS: Final = 8
# DescribeServices may lag behind UpdateService; until then 'at another revision' is no verdict.
_LAG_S: Final = 15.0


@dataclass(frozen=True, kw_only=True)
class ServiceName:
    """A service that Pulumi manages, or any other one."""

    region: str
    cluster: str
    service: str


@dataclass(kw_only=True)
class EcsHistory:
    """The revisions of one ECS service. `report_failure` gets a line for each task that fails during a wait."""

    clients: Clients
    name: ServiceName
    pace: Pace = field(default_factory=Pace)
    report_failure: Callable[[str], None] = warn

    def revisions(self) -> Sequence[Revision]:
        """Return all revisions of the service's family, newest first. Raises Refused."""
        service = self._service()
        family = deployments.family_of(service)
        active = set(self._numbers(family, "ACTIVE"))
        numbers = sorted(active.union(self._numbers(family, "INACTIVE")), reverse=True)
        asked = [n for n in numbers[:DESCRIBED] if n in active]
        with ThreadPoolExecutor(max_workers=_CALLERS) as pool:
            answers = pool.map(lambda number: definition_of(self.clients.ecs, family, str(number)), asked)
            described = dict(zip(asked, answers, strict=True))
        states = _states(service)
        return tuple(
            _revision(number, described.get(number), states.get(number, "stopped" if number in active else "gone"))
            for number in numbers
        )

    def current(self) -> Revision | None:
        """Return the revision that answers users; None when no task runs."""
        service = self._service()
        if (serving := deployments.serving(service)) is None:
            return None
        found = definition_of(self.clients.ecs, serving.family, str(serving.number))
        return _revision(serving.number, found, _states(service).get(serving.number, "serving"))

    def serving(self) -> str | None:
        """Return the revision that answers users; None when no task runs, or there is no service."""
        service = find_service(self.clients, self.name)
        serving = None if service is None else deployments.serving(service)
        return None if serving is None else str(serving.number)

    def busy(self) -> str | None:
        """Return, as a clause, what is being deployed right now; None when nothing is."""
        if (under_way := deployments.in_progress(self._service())) is None:
            return None
        return f"revision {under_way.revision.number}, {under_way.running} of {under_way.desired} tasks run"

    def activate(self, revision: str, *, force: bool = False) -> None:
        """Make the service use `revision`, exactly that one. Nothing happens when it already does.

        Raises Refused when the platform no longer holds the revision, or while another deployment is under way;
        with `force` that one is stopped first.
        """
        service = self._service()
        family = deployments.family_of(service)
        if definition_of(self.clients.ecs, family, revision).get("status") != "ACTIVE":
            raise _gone(revision)
        wanted = TaskDefinitionId(family=family, number=int(revision))
        if (primary := deployments.primary_of(service)) is not None and primary.revision == wanted:
            return
        if (under_way := deployments.in_progress(service)) is not None:
            if not force:
                raise Refused(
                    f"A deployment of revision {under_way.revision.number} is in progress.",
                    code="ecs-deployment-in-progress",
                    fix="Let it end, or stop it first with --force.",
                )
            self.stop_deployment()
        self.clients.ecs.update_service(
            cluster=self.name.cluster, service=self.name.service, taskDefinition=str(wanted)
        )

    def wait(self, revision: str, *, deadline_s: float) -> WaitOutcome:
        """Wait until `revision` serves or has failed, at most `deadline_s` seconds.

        A service that is stable at another revision has failed: that is how a circuit breaker's rollback looks. A task
        that fails is reported at once, and is no verdict: ECS starts another, and its circuit breaker decides.
        """
        began, since = self.pace.clock(), datetime.now(UTC)
        seen = False
        failing = FailingTasks(clients=self.clients, cluster=self.name.cluster, report=self.report_failure)
        while True:
            service = self._service()
            wanted = TaskDefinitionId(family=deployments.family_of(service), number=int(revision))
            assessment = deployments.assess(service, wanted)
            waited = self.pace.clock() - began
            if assessment.state is RolloutState.SERVING:
                return WaitOutcome(serving=True, start_s=deployments.start_s(service))
            lost = assessment.state is RolloutState.ELSEWHERE and (seen or waited >= min(_LAG_S, deadline_s))
            if assessment.state is RolloutState.FAILED or lost:
                return self._failed(service, wanted, assessment.reason, since)
            if waited >= deadline_s:
                reason = f"not serving after {deadline_s:.0f} s: {assessment.reason}"
                return self._failed(service, wanted, reason, since)
            failing.observe(service, wanted, waited)
            seen = seen or assessment.state is RolloutState.WAITING
            self.pace.pause(self.pace.poll_s)

    def prune(self, *, retain: int, spared: frozenset[str]) -> Sequence[str]:
        """Deregister all but the newest `retain` revisions; never one in a deployment or in `spared`. Return them."""
        service = self._service()
        family = deployments.family_of(service)
        in_use = {each.revision.number for each in deployments.deployments(service)}
        in_use.add(deployments.identify(service["taskDefinition"]).number)
        dropped = []
        for number in sorted(self._numbers(family, "ACTIVE"), reverse=True)[retain:]:
            if number in in_use or str(number) in spared:
                continue
            self.clients.ecs.deregister_task_definition(taskDefinition=f"{family}:{number}")
            dropped.append(str(number))
        return tuple(dropped)

    def _service(self) -> Mapping[str, Any]:
        if (found := find_service(self.clients, self.name)) is None:
            raise Refused(
                f"There is no service {self.name.service} in the cluster {self.name.cluster} ({self.name.region}).",
                code="service-missing",
                fix="Deploy the stack first, or name another cluster and service.",
            )
        return found

    def _numbers(self, family: str, status: str) -> list[int]:
        """Return the revisions of a family. The order of ECS is not relied on: callers sort by number."""
        paginator = self.clients.ecs.get_paginator("list_task_definitions")
        pages = paginator.paginate(familyPrefix=family, status=status, PaginationConfig={"PageSize": 100})  # type: ignore[arg-type]
        found = [deployments.identify(arn) for page in pages for arn in page["taskDefinitionArns"]]
        return [each.number for each in found if each.family == family]

    def stop_deployment(self) -> None:
        """End what is being deployed: ECS goes back to the revision before."""
        found = self.clients.ecs.list_service_deployments(
            cluster=self.name.cluster, service=self.name.service, status=["PENDING", "IN_PROGRESS"]
        )
        for each in found["serviceDeployments"]:
            self.clients.ecs.stop_service_deployment(
                serviceDeploymentArn=each["serviceDeploymentArn"], stopType="ROLLBACK"
            )

    def _failed(
        self, service: Mapping[str, Any], wanted: TaskDefinitionId, reason: str, since: datetime
    ) -> WaitOutcome:
        found = reasons.gather(self.clients, cluster=self.name.cluster, service=service, wanted=wanted, since=since)
        return WaitOutcome(serving=False, reasons=(reason, *found))


def find_service(clients: Clients, name: ServiceName) -> Mapping[str, Any] | None:
    """Return a service as ECS describes it; None if it is not there, or not any more."""
    try:
        answer = clients.ecs.describe_services(cluster=name.cluster, services=[name.service])
    except clients.ecs.exceptions.ClusterNotFoundException:
        return None
    # A service that was deleted is called INACTIVE for a while (Amazon ECS API reference, DescribeServices).
    active = [each for each in answer["services"] if each.get("status") != "INACTIVE"]
    return dict(active[0]) if active else None


def definition_of(ecs: ECSClient, family: str, revision: str) -> Mapping[str, Any]:
    """Return the task definition of a revision. Raises Refused if it is gone, PlatformFailed if ECS does not say."""
    answer = asked(ecs.describe_task_definition, taskDefinition=f"{family}:{revision}")
    if not isinstance(answer, Unanswered):
        return dict(answer["taskDefinition"])
    # So ECS calls a task definition that it does not have (Amazon ECS API reference, DescribeTaskDefinition).
    if answer.why == "ClientException":
        raise _gone(revision)
    raise PlatformFailed(
        answer.of("ECS"),
        code="revision-not-read",
        fix="Allow ecs:DescribeTaskDefinition, and repeat",
        part=f"revision {revision}",
    )


def _gone(revision: str) -> Refused:
    return Refused(
        f"Revision {revision} is not there any more.",
        code="revision-gone",
        fix="Choose one that is listed as stopped, or deploy that version again.",
    )


def describe(ecs: ECSClient, family: str, revision: str) -> Described:
    """Return what a revision runs, by its image, labels, variables and command. Raises Refused if it is gone."""
    return container_of(definition_of(ecs, family, revision)).described(revision)


def container_of(definition: Mapping[str, Any]) -> ServerContainer:
    """Return the server's container of a task definition, as far as it says so; of none, if nothing is known of it."""
    found: Mapping[str, Any] = next(iter(definition.get("containerDefinitions", [])), {})
    image, labels = str(found.get("image", "")), found.get("dockerLabels", {})
    # A service of others has no such label; its image's tag often is a version, as `ghcr.io/mlflow/mlflow:v2.9.2`.
    tagged = _VERSION_TAG.search(image.partition("@")[0])
    return ServerContainer(
        image=image,
        version=labels.get(VERSION_LABEL) or (tagged[1] if tagged else None),
        identity=labels.get(SETTINGS_LABEL, ""),
        command=tuple(found.get("command", [])),
        variables={each["name"]: each.get("value", "") for each in found.get("environment", [])},
        secrets=frozenset(each["name"] for each in found.get("secrets", [])),
    )


def _revision(number: int, definition: Mapping[str, Any] | None, state: RevisionState) -> Revision:
    found = definition or {}
    release = container_of(found).release(str(number))
    return Revision(id=str(number), release=release, state=state, created_at=found.get("registeredAt"))


def _states(service: Mapping[str, Any]) -> dict[int, RevisionState]:
    words: dict[str, RevisionState] = {"COMPLETED": "serving", "FAILED": "failed"}
    found: dict[int, RevisionState] = {}
    for each in deployments.deployments(service):
        if each.rollout == "COMPLETED" and not each.running:
            continue
        found.setdefault(each.revision.number, words.get(each.rollout, "starting"))
    return found
