"""Grants compared with AWS's own reference of each action: its resources, and its condition keys."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from mlflow_backend.aws.permissions import Grant
    from tests.components.ecs.simulator import Action


def misplaced(grants: Iterable[Grant], actions: Mapping[str, Action], starred: Container[str]) -> list[str]:
    """Return what is granted on what IAM never asks about; `starred` may stand on '*' though they know resources."""
    found = []
    for grant in grants:
        for action in grant.actions:
            known = actions.get(action)
            if known is None:
                found.append(f"{grant.sid}: there is no {action}")
            elif not known.arns and grant.resources != ("*",):
                found.append(f"{grant.sid}: {action} knows no resource, so IAM asks for '*'")
            elif known.arns and grant.resources == ("*",):
                found += [] if action in starred else [f"{grant.sid}: {action} on '*'"]
            elif known.arns and not any(_of(arn, known) for arn in grant.resources):
                found.append(f"{grant.sid}: {action} is about {sorted(known.arns)}, not {grant.resources}")
    return found


def impossible(grants: Iterable[Grant], actions: Mapping[str, Action]) -> list[str]:
    """Return the conditions on keys that an action never has: they deny for ever."""
    return [
        f"{grant.sid}: {action} never has {key}"
        for grant in grants
        for action in grant.actions
        for keys in grant.conditions.values()
        for key in keys
        if _plain(key) not in {_plain(each) for each in actions[action].keys}
    ]


def _of(arn: str, action: Action) -> bool:
    """Return whether an ARN of a policy, in which `*` may stand for anything, is of one of an action's types."""
    patterns = [
        "".join(".*" if part.startswith("${") else re.escape(part) for part in re.split(r"(\$\{\w+\})", each))
        for each in action.arns.values()
    ]
    return any(re.fullmatch(pattern, arn) for pattern in patterns) or (
        arn.endswith((":*", "/*")) and any(each.split(":")[2] == arn.split(":")[2] for each in action.arns.values())
    )


def _plain(key: str) -> str:
    return re.sub(r"(ResourceTag|RequestTag)/.*", r"\1/", key)
