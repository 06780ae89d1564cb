"""Users, roles and permissions of MLflow, and the changes of them, as values. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from collections.abc import Mapping

EXPERIMENT: Final = "experiment"
MODEL: Final = "registered_model"
PROMPT: Final = "prompt"
SCORER: Final = "scorer"
GATEWAY_ENDPOINT: Final = "gateway_endpoint"
GATEWAY_MODEL: Final = "gateway_model_definition"
GATEWAY_SECRET: Final = "gateway_secret"  # noqa: S105 - a kind
"""Kinds of what a permission is given for, as MLflow's newer API calls them."""


def scorer_key(experiment: str, scorer: str) -> str:
    """Return how MLflow 3.17.2 names a scorer of an experiment (auth/sqlalchemy_store.py, `_scorer_pattern`)."""
    return f"{experiment}/{quote(scorer, safe='')}"


def scorer_of(key: str) -> tuple[str, str]:
    """Return the experiment and the scorer of a key. An experiment's name may hold a slash."""
    experiment, _, scorer = key.rpartition("/")
    return experiment, unquote(scorer)


class Verb(StrEnum):
    """What a call does."""

    CREATE = "create the user"
    DELETE = "delete the user"
    PASSWORD = "set the password of"  # noqa: S105 - what a call does
    PROMOTE = "make an administrator of"
    DEMOTE = "take the administrator's rights of"
    GIVE = "give"
    CHANGE = "change"
    REVOKE = "revoke"


class Grant(NamedTuple):
    """What a user has a permission for.

    An experiment and what the gateway has go by id, a registered model by name, a scorer as `scorer_key` says.
    """

    user: str
    kind: str
    key: str


@dataclass(frozen=True, kw_only=True)
class Call:
    """One change of a user or a permission. No secret is in it."""

    verb: Verb
    user: str
    grant: Grant | None = None
    permission: str = ""

    def __str__(self) -> str:
        """Return the change as a sentence's end."""
        if self.grant is None:
            return f"{self.verb} {self.user}"
        what = f"{self.permission} on {self.grant.kind} {self.grant.key}".strip()
        return f"{self.verb} {self.user} {what}"


@dataclass(frozen=True, kw_only=True)
class User:
    """A user as MLflow has it. `accepted` is whether MLflow takes the wanted password."""

    admin: bool
    accepted: bool = True


@dataclass(frozen=True, kw_only=True)
class Found:
    """What MLflow has: the users among those that are asked about, and their grants."""

    users: Mapping[str, User] = field(default_factory=dict)
    grants: Mapping[Grant, str] = field(default_factory=dict)


EVERY: Final = "*"
"""The key of a role's permission for all of a kind."""


class RoleVerb(StrEnum):
    """What a call does to a role."""

    CREATE = "create the role"
    DELETE = "delete the role"
    ASSIGN = "assign the role"
    UNASSIGN = "take back the role"
    GIVE = "give the role"
    CHANGE = "change of the role"
    REVOKE = "revoke of the role"


class Resource(NamedTuple):
    """What a role has a permission for: one of a kind, by the key that `Grant` has, or EVERY."""

    kind: str
    key: str


@dataclass(frozen=True, kw_only=True)
class Role:
    """A role: the users that have it, and its permissions."""

    members: frozenset[str] = frozenset()
    permissions: Mapping[Resource, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class RoleCall:
    """One change of a role."""

    verb: RoleVerb
    role: str
    member: str = ""
    resource: Resource | None = None
    permission: str = ""

    def __str__(self) -> str:
        """Return the change as a sentence's end."""
        what = (
            f"{self.permission} on {self.resource.kind} {self.resource.key}".strip() if self.resource else self.member
        )
        return f"{self.verb} {self.role} {what}".strip()
