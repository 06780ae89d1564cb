"""The cluster's own words on why pods are not ready: conditions, events, terminations, last log lines; and the fix.

Log lines are a program's own and may hold a URL with a password; those are blanked before anybody sees them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.kubernetes.fixes import fix_of
from mlflow_backend.kubernetes.naming import SERVER
from mlflow_backend.logged import without_passwords

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mlflow_backend.kubernetes.api import Api

LOG_LINES: Final = 15
_EVENTS: Final = 5
_PODS: Final = 3
_PULLED: Final = frozenset({"ContainerCreating", "PodInitializing"})


def gather(
    api: Api, owners: Sequence[Mapping[str, Any]], pods: Sequence[Mapping[str, Any]], *, part: str = SERVER
) -> tuple[str, ...]:
    """Return why pods of a part are not ready: of what owns them, of the newest, last log lines, and what to do."""
    words = [word for owner in owners for word in (*conditions(owner), *events(api, owner))]
    newest = sorted(pods, key=lambda pod: str(pod["metadata"].get("creationTimestamp", "")), reverse=True)
    for pod in newest[:_PODS]:
        words += [*of_pod(pod), *events(api, pod)]
    fix = fix_of(words, part=part)
    words += next(filter(None, (last_lines(api, pod) for pod in newest[:_PODS])), [])
    words += [fix] if fix else []
    return tuple(dict.fromkeys(without_passwords(word) for word in words))


def conditions(owner: Mapping[str, Any]) -> Iterator[str]:
    """Give the messages of the conditions that say that something is not as it should be."""
    kind, name = owner.get("kind", ""), owner["metadata"]["name"]
    for each in (owner.get("status") or {}).get("conditions") or []:
        failing = each.get("type") in {"ReplicaFailure", "Failed", "FailureTarget"} and each.get("status") == "True"
        stuck = each.get("type") in {"Available", "Progressing", "PodScheduled"} and each.get("status") == "False"
        if failing or stuck:
            yield f"{kind} {name}: {each.get('reason', '')}: {each.get('message', '')}".strip()


def events(api: Api, about: Mapping[str, Any]) -> list[str]:
    """Return the last warnings about an object, oldest first."""
    found = api.list("Event", fields=f"involvedObject.uid={about['metadata']['uid']},type=Warning")
    ordered = sorted(found, key=lambda each: str(each.get("lastTimestamp") or each.get("eventTime") or ""))
    name = about["metadata"]["name"]
    return [f"{name}: {each.get('reason', '')}: {each.get('message', '')}" for each in ordered][-_EVENTS:]


def of_pod(pod: Mapping[str, Any]) -> Iterator[str]:
    """Give what a pod's status says of itself and of its containers."""
    name, status = pod["metadata"]["name"], pod.get("status") or {}
    yield from conditions({**pod, "kind": "Pod"})
    if status.get("reason"):
        yield f"pod {name}: {status['reason']}: {status.get('message', '')}"
    for container in status.get("containerStatuses") or []:
        waiting = (container.get("state") or {}).get("waiting") or {}
        if waiting.get("reason") and waiting["reason"] not in _PULLED:
            yield f"pod {name}: {waiting['reason']}: {waiting.get('message', '')}"
        for state in (container.get("state") or {}, container.get("lastState") or {}):
            ended = state.get("terminated") or {}
            if ended and ended.get("exitCode") != 0:
                said = (ended.get("message") or "").strip()
                yield f"pod {name}: {ended.get('reason', 'ended')}, exit code {ended.get('exitCode')}: {said}"


def last_lines(api: Api, pod: Mapping[str, Any]) -> list[str]:
    """Return the last lines that a pod wrote, or the one before it in the same pod."""
    name = pod["metadata"]["name"]
    said = api.log(name, lines=LOG_LINES) or api.log(name, lines=LOG_LINES, previous=True)
    return [f"log of {name}: {line}" for line in said.splitlines()]
