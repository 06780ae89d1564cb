"""The five verbs of the target cloudrun: list revisions, current, activate, wait, prune (contract.History).

Serving another revision is a change of the service's traffic, and makes no revision: what is gone back to is exactly
what was verified.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.cloudrun import logs, traffic
from mlflow_backend.cloudrun.render.service import RELEASE_LABEL, VERSION_LABEL, Traffic, targets
from mlflow_backend.contract import Revision, WaitOutcome
from mlflow_backend.gcp.render.identity import SERVER
from mlflow_backend.hosted import ServerContainer
from mlflow_backend.logged import without_passwords

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow_backend.cloudrun.service import CloudRun
    from mlflow_backend.contract import Release, RevisionState

_LOG_LINES: Final = 15


@dataclass(kw_only=True)
class CloudRunHistory:
    """The revisions of one backend's service."""

    run: CloudRun

    def revisions(self) -> Sequence[Revision]:
        """Return all revisions, newest first."""
        service = self.run.service()
        if service is None:
            return ()
        return tuple(_revision(each, _state(service, each)) for each in self.run.revisions())

    def current(self) -> Revision | None:
        """Return the revision that answers users."""
        found = self.serving()
        return None if found is None else _revision(self.run.revision(found), "serving")

    def serving(self) -> str | None:
        """Return the revision that answers users."""
        return traffic.serving(self.run.service())

    def busy(self) -> str | None:
        """Return, as a clause, what is being changed right now; None if nothing is."""
        service = self.run.service()
        if service is None or not service.get("reconciling"):
            return None
        return f"Cloud Run is changing {self.run.naming.service()} to {traffic.routed(service) or 'several revisions'}"

    def activate(self, revision: str) -> None:
        """Give a revision all of the traffic; nothing happens if it has it already. Raises Refused if it is gone."""
        self.run.revision(revision)
        self.run.change(lambda service: _routing(service, revision))

    def stop_deployment(self) -> None:
        """Go back to the revision that serves, if another one is asked for."""
        serving = self.serving()
        if serving is not None:
            self.activate(serving)

    def wait(self, revision: str, *, deadline_s: float) -> WaitOutcome:
        """Wait until `revision` serves or has failed, at most `deadline_s` seconds."""
        pace = self.run.pace
        began, pauses = pace.clock(), pace.growing()
        while True:
            service, waited = self.run.service(), pace.clock() - began
            if service is None:
                return WaitOutcome(serving=False, reasons=("the Cloud Run service is not there",))
            if traffic.serving(service) == revision and traffic.is_ready(service):
                return WaitOutcome(serving=True, start_s=waited)
            if why := _stuck(service, revision):
                return self._failed(service, revision, why)
            if waited >= deadline_s:
                return self._failed(service, revision, f"not serving after {deadline_s:.0f} s")
            pace.pause(next(pauses))

    def prune(self, *, retain: int, spared: frozenset[str]) -> Sequence[str]:
        """Delete all but the newest `retain` revisions; never one with traffic, or in `spared`. Return them."""
        service = self.run.service()
        if service is None:
            return ()
        kept = {*spared, traffic.routed(service), traffic.serving(service)}
        names = [traffic.short(each["name"]) for each in self.run.revisions()]
        dropped = [name for name in names[retain:] if name not in kept]
        if set(dropped) & set(traffic.tags(service).values()):
            self.run.change(lambda found: _untagged(found, frozenset(dropped)))
        for name in dropped:
            self.run.delete_revision(name)
        return tuple(dropped)

    def last_words(self, revision: str) -> tuple[str, ...]:
        """Return why a revision does not serve: what Google says of it, then its last lines."""
        found = self.run.revision(revision)
        naming = self.run.naming
        lines = logs.of_service(self.run.api, naming.project, naming.service(), revision=found, newest=_LOG_LINES)
        return (*traffic.reasons(found), *(f"log: {without_passwords(line)}" for line in lines))

    def _failed(self, service: Mapping[str, Any], revision: str, why: str) -> WaitOutcome:
        return WaitOutcome(
            serving=False, reasons=tuple(dict.fromkeys((why, *traffic.reasons(service), *self.last_words(revision))))
        )


def container_of(revision: Mapping[str, Any]) -> ServerContainer:
    """Return the container of a revision that runs the server."""
    containers: Sequence[Mapping[str, Any]] = revision.get("containers", [])
    found = next((each for each in containers if each.get("name") == SERVER), {})
    labels, environment = revision.get("labels") or {}, found.get("env") or []
    return ServerContainer(
        image=str(found.get("image", "")),
        version=labels.get(VERSION_LABEL, "").replace("_", ".") or None,
        identity=str(labels.get(RELEASE_LABEL, "")),
        command=(*(found.get("command") or []), *(found.get("args") or [])),
        variables={each["name"]: each.get("value", "") for each in environment if "valueSource" not in each},
        secrets=frozenset(each["name"] for each in environment if "valueSource" in each),
    )


def release_of(revision: Mapping[str, Any]) -> Release:
    """Return what a revision runs."""
    return container_of(revision).release(traffic.short(revision["name"]))


def _routing(service: Mapping[str, Any], revision: str) -> dict[str, Any]:
    if traffic.routed(service) == revision and not _is_latest(service):
        return {}
    return {"traffic": targets(Traffic(serving=revision, kept=traffic.tags(service)))}


def _untagged(service: Mapping[str, Any], dropped: frozenset[str]) -> dict[str, Any]:
    """Return the traffic without the tags of revisions that are to be deleted, which Google would not delete."""
    return {
        "traffic": [
            each
            for each in service["traffic"]
            if each.get("percent") or traffic.short(str(each.get("revision", ""))) not in dropped
        ]
    }


def _is_latest(service: Mapping[str, Any]) -> bool:
    """Return whether the traffic goes to whatever revision is the newest, so that the next one would get it."""
    return any(each.get("percent") == traffic.ALL and not each.get("revision") for each in service["traffic"])


def _stuck(service: Mapping[str, Any], revision: str) -> str:
    """Return why waiting for a revision is of no use, '' if it is."""
    if service.get("reconciling"):
        return ""
    asked = traffic.routed(service)
    if traffic.is_stopped(service):
        return "the service is set to have no instance"
    if asked != revision:
        return f"the traffic goes to {asked or 'several revisions'}, not to {revision}"
    return "Cloud Run says that it has failed" if traffic.has_failed(service) else ""


def _state(service: Mapping[str, Any], found: Mapping[str, Any]) -> RevisionState:
    name = traffic.short(found["name"])
    if name == traffic.serving(service):
        return "serving"
    if traffic.has_failed(found):
        return "failed"
    starting = service.get("reconciling") and name == traffic.short(str(service.get("latestCreatedRevision", "")))
    return "starting" if starting else "stopped"


def _revision(found: Mapping[str, Any], state: RevisionState) -> Revision:
    release = release_of(found)
    return Revision(
        id=release.revision, release=release, state=state, created_at=datetime.fromisoformat(found["createTime"])
    )
