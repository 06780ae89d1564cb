"""One permission of whoever works on a backend from outside: actions, on which ARNs, under which conditions. Pure."""

from __future__ import annotations

import enum
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from mlflow_backend.aws.naming import Naming

Conditions = dict[str, dict[str, "str | list[str]"]]


class Purpose(enum.StrEnum):
    """What a role of a workflow is for.

    `preview` shows what an update would change; `plan` shows what a rollback would do, before somebody approves it;
    `rollback` does it; `deploy` updates, verifies and destroys; `image` pushes images.
    """

    PREVIEW = "preview"
    PLAN = "plan"
    ROLLBACK = "rollback"
    DEPLOY = "deploy"
    IMAGE = "image"


LOOKS: Final = frozenset({Purpose.PREVIEW, Purpose.DEPLOY})
"""Purposes that compare Pulumi's state with what is there."""
CHANGES: Final = frozenset({Purpose.DEPLOY})
"""The one that makes, changes and deletes resources."""
WORKS: Final = frozenset({Purpose.PLAN, Purpose.ROLLBACK, Purpose.DEPLOY})
"""Purposes that find the running backend and ask its database by a one-shot task."""
SERVES: Final = frozenset({Purpose.ROLLBACK, Purpose.DEPLOY})
"""Purposes that change which revision serves, and verify it."""
ALL: Final = LOOKS | WORKS


@dataclass(frozen=True, kw_only=True)
class Grant:
    """One statement of an identity's policy. `sid` is its name, in letters and digits."""

    sid: str
    purposes: frozenset[Purpose]
    actions: tuple[str, ...]
    resources: tuple[str, ...]
    conditions: Conditions = field(default_factory=dict)

    def statement(self) -> dict[str, Any]:
        """Return it as IAM's policy language has it."""
        found: dict[str, Any] = {
            "Sid": self.sid,
            "Effect": "Allow",
            "Action": sorted(self.actions),
            "Resource": sorted(self.resources) if len(self.resources) > 1 else self.resources[0],
        }
        return {**found, "Condition": self.conditions} if self.conditions else found


def grant(
    sid: str, purposes: frozenset[Purpose], actions: str, *resources: str, **conditions: dict[str, str | list[str]]
) -> Grant:
    """Return a permission; `conditions` are condition keys by IAM's operator.

    `actions` are names such as `s3:GetObject` with spaces between them; one without a service has that of the last.
    """
    named: list[str] = []
    for each in actions.split():
        named.append(each if ":" in each else f"{named[-1].partition(':')[0]}:{each}")
    return Grant(sid=sid, purposes=purposes, actions=tuple(named), resources=resources, conditions=dict(conditions))


def owned(naming: Naming) -> dict[str, str | list[str]]:
    """Return the condition keys of what has this stack's tags already."""
    return {"aws:ResourceTag/project": naming.project, "aws:ResourceTag/stack": naming.stack}


def tagging(naming: Naming) -> dict[str, str | list[str]]:
    """Return the condition keys of a request that gives this stack's tags."""
    return {"aws:RequestTag/project": naming.project, "aws:RequestTag/stack": naming.stack}


def through(naming: Naming, *services: str) -> dict[str, str | list[str]]:
    """Return the condition keys of a KMS call that a service makes for its caller."""
    return {"kms:ViaService": [f"{service}.{naming.region}.{naming.domain}" for service in services]}
