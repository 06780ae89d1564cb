"""The five verbs of the target kubernetes: list revisions, current, activate, wait, prune (contract.History).

A revision is a ReplicaSet of the server's Deployment, called by its pod template's hash, as its pods are: the number
that `kubectl rollout history` shows is another one after a rollback, and begins anew after a destroy.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.contract import Refused, Revision, RevisionState, WaitOutcome
from mlflow_backend.hosted import ServerContainer
from mlflow_backend.kubernetes import reasons
from mlflow_backend.kubernetes.naming import SERVER, Naming
from mlflow_backend.kubernetes.patience import Patience
from mlflow_backend.kubernetes.render.server import FIELD_MANAGER, SETTINGS, VERSION
from mlflow_backend.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow_backend.kubernetes.api import Api

HASH: Final = "pod-template-hash"
_NUMBER: Final = "deployment.kubernetes.io/revision"
_PULUMIS: Final = "pulumi.com/"
# The controller makes a ReplicaSet moments after a Deployment was changed.
_LAG_S: Final = 15.0


@dataclass(kw_only=True)
class KubernetesHistory:
    """The revisions of one backend's server, or of its candidate."""

    api: Api
    naming: Naming
    component: str = SERVER
    pace: Pace = field(default_factory=Pace)

    def revisions(self) -> Sequence[Revision]:
        """Return all revisions, newest first."""
        deployment, sets = self._deployment(), self._sets()
        serving = _serving(deployment, sets)
        return tuple(_revision(each, _state(deployment, each, serving)) for each in sets)

    def current(self) -> Revision | None:
        """Return the revision that answers users."""
        deployment, sets = self._deployment(), self._sets()
        found = _serving(deployment, sets)
        return None if found is None else _revision(found, "serving")

    def serving(self) -> str | None:
        """Return the revision that answers users."""
        found = _serving(self._deployment(), self._sets())
        return None if found is None else name_of(found)

    def wanted(self) -> str | None:
        """Return the revision that the Deployment is set to run; None until its controller has seen that."""
        deployment = self._deployment()
        if deployment is None or not _observed(deployment):
            return None
        return next((name_of(each) for each in self._sets() if _number(each) == _number(deployment)), None)

    def busy(self) -> str | None:
        """Return, as a clause, what is being rolled out right now; None if nothing is, or it has failed."""
        deployment = self._deployment()
        if deployment is None or not deployment["spec"].get("replicas") or is_done(deployment) or _overdue(deployment):
            return None
        status = deployment.get("status") or {}
        ready, wanted = status.get("updatedReplicas", 0), deployment["spec"]["replicas"]
        return f"revision {self.wanted() or 'unknown'}, {ready} of {wanted} pods are of it"

    def activate(self, revision: str) -> None:
        """Tell the Deployment to run a revision; nothing happens if it does already. Raises Refused if it is gone."""
        found, deployment = self.revision(revision), self._deployment()
        if deployment is None or self.wanted() == revision:
            return
        spec = {key: value for key, value in deployment["spec"].items() if key != "replicas"}
        metadata = deployment["metadata"]
        document = {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {
                "name": metadata["name"],
                "namespace": metadata["namespace"],
                "labels": metadata.get("labels", {}),
                "annotations": {
                    key: value for key, value in metadata["annotations"].items() if key.startswith(_PULUMIS)
                },
            },
            "spec": {**spec, "template": template_of(found)},
        }
        self.api.apply("Deployment", document, manager=FIELD_MANAGER)

    def stop_deployment(self) -> None:
        """Go back to the revision that serves, if another one is being rolled out."""
        serving = self.serving()
        if serving is not None:
            self.activate(serving)

    def wait(self, revision: str, *, deadline_s: float) -> WaitOutcome:
        """Wait until `revision` serves or cannot come to serve, at most `deadline_s` seconds."""
        began, patience = self.pace.clock(), Patience()
        while True:
            deployment, waited = self._deployment(), self.pace.clock() - began
            wanted = self.wanted()
            if deployment is None:
                return WaitOutcome(serving=False, reasons=("the Deployment is not there",))
            if wanted == revision and is_done(deployment):
                return WaitOutcome(serving=True, start_s=waited)
            late = f"not serving after {deadline_s:.0f} s" if waited >= deadline_s else None
            lagged = waited >= min(_LAG_S, deadline_s)
            if why := self._hopeless(deployment, revision, wanted, patience, lagged=lagged) or late:
                return self._failed(deployment, revision, why)
            self.pace.pause(self.pace.poll_s)

    def prune(self, *, retain: int, spared: frozenset[str]) -> Sequence[str]:
        """Delete all but the newest `retain` revisions; never one that has pods, or is in `spared`. Return them."""
        wanted, dropped = self.wanted(), []
        for each in self._sets()[retain:]:
            name = name_of(each)
            if name == wanted or name in spared or each["spec"].get("replicas"):
                continue
            self.api.delete("ReplicaSet", each["metadata"]["name"])
            dropped.append(name)
        return tuple(dropped)

    def revision(self, revision: str) -> Mapping[str, Any]:
        """Return the ReplicaSet of a revision. Raises Refused if it is gone."""
        found = next((each for each in self._sets() if name_of(each) == revision), None)
        if found is None:
            raise Refused(
                f"Revision {revision} is not there any more.",
                code="kubernetes-revision-gone",
                fix="Choose one that `make releases` lists.",
            )
        return found

    def newest_of(self, identity: str) -> str | None:
        """Return the newest revision of a release, None if there is none."""
        return next((name_of(each) for each in self._sets() if container_of(each).identity == identity), None)

    def pods(self, revision: str | None = None) -> list[dict[str, Any]]:
        """Return the pods, of one revision if it is named."""
        more = {HASH: revision} if revision else {}
        return self.api.list("Pod", {**self.naming.selector(self.component), **more})

    def _hopeless(
        self, deployment: Mapping[str, Any], revision: str, wanted: str | None, patience: Patience, *, lagged: bool
    ) -> str | None:
        """Return, as a clause, why the revision cannot come to serve; None as long as it can."""
        if wanted not in {None, revision}:
            return f"the Deployment is set to run {wanted}, not {revision}" if lagged else None
        if not deployment["spec"].get("replicas"):
            return "the Deployment is set to run no pods"
        if wanted is None:
            return None
        if _overdue(deployment):
            return "the rollout's progress deadline is exceeded"
        return patience.lost(deployment, self.pods(revision), now=self.pace.clock())

    def _failed(self, deployment: Mapping[str, Any], revision: str, why: str) -> WaitOutcome:
        sets = [{**each, "kind": "ReplicaSet"} for each in self._sets() if name_of(each) == revision]
        owners = [{**deployment, "kind": "Deployment"}, *sets]
        return WaitOutcome(serving=False, reasons=(why, *reasons.gather(self.api, owners, self.pods(revision))))

    def _deployment(self) -> dict[str, Any] | None:
        return self.api.get("Deployment", self.naming.part(self.component))

    def _sets(self) -> list[dict[str, Any]]:
        """Return the ReplicaSets, newest first."""
        found = self.api.list("ReplicaSet", self.naming.selector(self.component))
        return sorted(found, key=_number, reverse=True)


def name_of(replica_set: Mapping[str, Any]) -> str:
    """Return what a revision is called."""
    return str(replica_set["metadata"]["labels"][HASH])


def template_of(replica_set: Mapping[str, Any]) -> dict[str, Any]:
    """Return the pod template of a revision as its Deployment had it."""
    template = replica_set["spec"]["template"]
    metadata = template["metadata"]
    labels = {key: value for key, value in metadata["labels"].items() if key != HASH}
    return {"metadata": {"labels": labels, "annotations": metadata.get("annotations", {})}, "spec": template["spec"]}


def container_of(replica_set: Mapping[str, Any]) -> ServerContainer:
    """Return the server's container of a revision, by its pod template."""
    template = replica_set["spec"]["template"]
    container, notes = template["spec"]["containers"][0], template["metadata"].get("annotations") or {}
    environment = container.get("env") or []
    return ServerContainer(
        image=str(container["image"]),
        version=notes.get(VERSION),
        identity=str(notes.get(SETTINGS, "")),
        command=(*(container.get("command") or []), *(container.get("args") or [])),
        variables={each["name"]: each.get("value", "") for each in environment if "valueFrom" not in each},
        secrets=frozenset(each["name"] for each in environment if "valueFrom" in each),
    )


def _number(found: Mapping[str, Any]) -> int:
    return int((found["metadata"].get("annotations") or {}).get(_NUMBER, 0))


def _observed(deployment: Mapping[str, Any]) -> bool:
    seen = (deployment.get("status") or {}).get("observedGeneration", 0)
    return bool(seen >= deployment["metadata"]["generation"])


def is_done(deployment: Mapping[str, Any]) -> bool:
    """Tell whether every pod is of the revision that is wanted, and ready."""
    status, wanted = deployment.get("status") or {}, deployment["spec"].get("replicas", 0)
    counts = {status.get(each, 0) for each in ("replicas", "updatedReplicas", "availableReplicas")}
    return _observed(deployment) and wanted > 0 and counts == {wanted}


def _overdue(deployment: Mapping[str, Any]) -> bool:
    found = (deployment.get("status") or {}).get("conditions") or []
    return _observed(deployment) and any(each.get("reason") == "ProgressDeadlineExceeded" for each in found)


def _serving(deployment: Mapping[str, Any] | None, sets: Sequence[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """Return the ReplicaSet that answers users: during a rollout the one before, which has most of the pods."""
    ready = [each for each in sets if (each.get("status") or {}).get("readyReplicas")]
    if deployment is None or not ready:
        return None
    current = next((each for each in ready if _number(each) == _number(deployment)), None)
    if current is not None and is_done(deployment):
        return current
    return next((each for each in ready if each is not current), current)


def _state(
    deployment: Mapping[str, Any] | None, found: Mapping[str, Any], serving: Mapping[str, Any] | None
) -> RevisionState:
    if found is serving:
        return "serving"
    if deployment is not None and found["spec"].get("replicas") and _number(found) == _number(deployment):
        return "failed" if _overdue(deployment) else "starting"
    return "stopped"


def _revision(found: Mapping[str, Any], state: RevisionState) -> Revision:
    made = datetime.fromisoformat(found["metadata"]["creationTimestamp"])
    name = name_of(found)
    return Revision(id=name, release=container_of(found).release(name), state=state, created_at=made)
