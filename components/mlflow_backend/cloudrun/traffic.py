"""The state of a service and of executions, read from their documents, and the targets of other traffic. Pure."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.cloudrun.render.service import Traffic

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

Document = dict[str, Any]

ALL: Final = 100
_LATEST: Final = "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST"
_REVISION: Final = "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION"
_MANUAL: Final = "MANUAL"
_NO_INSTANCE: Final = {"scalingMode": _MANUAL, "manualInstanceCount": 0}
_DONE: Final = "CONDITION_SUCCEEDED"
_FAILED: Final = "CONDITION_FAILED"


def short(name: str) -> str:
    """Return the last part of a resource's name."""
    return name.rsplit("/", 1)[-1]


def is_stopped(service: Mapping[str, Any]) -> bool:
    """Return whether the service may have no instance at all."""
    scaling = service.get("scaling") or {}
    return scaling.get("scalingMode") == _MANUAL and not scaling.get("manualInstanceCount")


def stopped(service: Mapping[str, Any]) -> Document:
    """Return the fields by which a service has no instance and gets none; {} if it is so.

    The tags go too: who asks at one starts an instance of its revision, however the service is scaled by hand ('Manual
    scaling', Cloud Run).
    """
    found: Document = {} if is_stopped(service) else {"scaling": dict(_NO_INSTANCE)}
    tagged = tags(service)
    return {**found, "traffic": without(service, tagged)} if tagged else found


def serving(service: Mapping[str, Any] | None) -> str | None:
    """Return the revision that all requests go to now; None if nobody is served, or several share them."""
    if service is None or is_stopped(service):
        return None
    return routed(service, "trafficStatuses")


def routed(service: Mapping[str, Any], key: str = "traffic") -> str | None:
    """Return the revision that has all of the traffic, as it is asked for or, by `trafficStatuses`, as it is."""
    for target in service.get(key) or []:
        if target.get("percent") == ALL:
            return _revision(service, target)
    return None


def tags(service: Mapping[str, Any] | None) -> dict[str, str]:
    """Return the revision of each tag."""
    found = {}
    for target in (service or {}).get("traffic") or []:
        revision = _revision(service or {}, target)
        if target.get("tag") and revision:
            found[str(target["tag"])] = revision
    return found


def without(service: Mapping[str, Any], dropped: Collection[str]) -> list[Document]:
    """Return the targets of the traffic without some tags; one that has no traffic either is left out."""
    found = []
    for each in service.get("traffic") or []:
        if each.get("tag") not in dropped:
            found.append(dict(each))
        elif each.get("percent"):
            found.append({key: value for key, value in each.items() if key != "tag"})
    return found


def tagged(service: Mapping[str, Any], wanted: Mapping[str, str]) -> list[Document]:
    """Return the targets of the traffic with exactly these tags; one that is missing is given to its revision."""
    there = tags(service)
    missing = [tag for tag, revision in sorted(wanted.items()) if revision and tag not in there]
    return [
        *without(service, there.keys() - wanted.keys()),
        *({"type": _REVISION, "revision": wanted[tag], "percent": 0, "tag": tag} for tag in missing),
    ]


def beside(service: Mapping[str, Any], tag: str, revision: str | None = None) -> list[Document]:
    """Return the traffic as it is, and a tag of a revision; of the one that is created with it if none is named.

    A share of the latest revision becomes that of the one which has it now, because a new one must not get it. If
    nobody serves yet, the new one does.
    """
    found = [_named(service, each) for each in without(service, {tag})]
    if revision is not None:
        return [*found, {"type": _REVISION, "revision": revision, "percent": 0, "tag": tag}]
    if not any(each.get("percent") and each.get("revision") for each in found):
        return [{"type": _LATEST, "percent": ALL, "tag": tag}]
    return [*found, {"type": _LATEST, "percent": 0, "tag": tag}]


def is_ready(service: Mapping[str, Any]) -> bool:
    """Return whether Google has done all that the service is asked for."""
    condition = service.get("terminalCondition") or {}
    return not service.get("reconciling") and condition.get("state") == _DONE


def has_failed(resource: Mapping[str, Any]) -> bool:
    """Return whether a service or a revision says of itself that it failed."""
    conditions = [resource.get("terminalCondition") or {}, *(resource.get("conditions") or [])]
    return any(each.get("type") in {"Ready", None} and each.get("state") == _FAILED for each in conditions if each)


def reasons(resource: Mapping[str, Any]) -> tuple[str, ...]:
    """Return what the failed conditions of a service, a revision or an execution say."""
    conditions = [resource.get("terminalCondition") or {}, *(resource.get("conditions") or [])]
    words = [
        f"{each.get('type', 'Ready')}: {each['message']}"
        for each in conditions
        if each.get("state") == _FAILED and each.get("message")
    ]
    return tuple(dict.fromkeys(words))


def outcome_of(execution: Mapping[str, Any]) -> str:
    """Return in a few words how a job's execution went."""
    begun = f"{datetime.fromisoformat(execution['createTime']).astimezone(UTC):%F %T}Z"
    if "completionTime" not in execution:
        return f"under way since {begun}"
    if execution.get("succeededCount"):
        return f"done, begun {begun}"
    return f"failed, begun {begun}: {'; '.join(reasons(execution)) or 'no reason'}"


def declared(
    service: Mapping[str, Any] | None, *, revision: str, tag: str, pinned: str | None, kept: Mapping[str, str]
) -> Traffic:
    """Return the traffic that an update ends with, which a repeated one finds as it is.

    `revision` and `tag` are the release's that the settings describe, `pinned` is the revision that is served instead.
    `kept` are the tags of the revisions that a rollback may go to. A first deployment cannot name its revision; a
    service that has been deployed only once is left as it was.
    """
    if service is None or (pinned is None and _is_first(service, revision)):
        return Traffic(first=tag)
    own = {tag: revision} if pinned is None else {}
    return Traffic(serving=pinned or revision, kept={**kept, **own})


def _is_first(service: Mapping[str, Any], revision: str) -> bool:
    """Return whether the service has the traffic of a first deployment, and its newest revision is this one."""
    latest = any(each.get("type") == _LATEST and each.get("percent") for each in service.get("traffic") or [])
    return latest and short(str(service.get("latestCreatedRevision", ""))) == revision


def _named(service: Mapping[str, Any], target: Mapping[str, Any]) -> Document:
    """Return a target by its revision's name, as it is if that is not there yet."""
    revision = _revision(service, target)
    return dict(target) if revision is None else {**target, "type": _REVISION, "revision": revision}


def _revision(service: Mapping[str, Any], target: Mapping[str, Any]) -> str | None:
    """Return the revision of a target: that of the latest one is the newest which has become ready."""
    found = target.get("revision") or (service.get("latestReadyRevision") if target.get("type") == _LATEST else None)
    return short(str(found)) if found else None
