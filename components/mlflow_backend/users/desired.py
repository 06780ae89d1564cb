"""The users and permissions that settings ask for, groups expanded to their members. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from pydantic.alias_generators import to_snake

from mlflow_backend.verify.permissions import (
    EXPERIMENT,
    GATEWAY_ENDPOINT,
    GATEWAY_MODEL,
    GATEWAY_SECRET,
    MODEL,
    SCORER,
    scorer_key,
)

if TYPE_CHECKING:
    from mlflow_backend.settings import Settings

# From the weakest: of several groups' permissions the strongest counts.
_STRENGTH: Final = ("NO_PERMISSIONS", "READ", "EDIT", "MANAGE")


def users(settings: Settings) -> dict[str, dict[str, Any]]:
    """Return the reference to each user's password, and who is an administrator."""
    return {name: user.model_dump() for name, user in settings.access.users.items()}


def permissions(settings: Settings) -> list[dict[str, str]]:
    """Return each user's permission for each resource, by the resource's name; a scorer's is its `scorer_key`.

    MLflow has no groups, and not all versions have roles, so each member gets the group's permission. What a user is
    given by name counts over that of groups.
    """
    access, wanted = settings.access, settings.access.permissions
    given = {
        EXPERIMENT: wanted.experiments,
        MODEL: wanted.registered_models,
        SCORER: {
            scorer_key(experiment, scorer): rights
            for experiment, scorers in wanted.scorers.items()
            for scorer, rights in scorers.items()
        },
        GATEWAY_ENDPOINT: wanted.gateway_endpoints,
        GATEWAY_MODEL: wanted.gateway_model_definitions,
        GATEWAY_SECRET: wanted.gateway_secrets,
    }
    found: dict[tuple[str, str, str], str] = {}
    for kind, resources in given.items():
        for resource, rights in resources.items():
            for user in access.users:
                if permission := _permission(user, rights, access.groups):
                    found[user, kind, resource] = permission
    return [
        {"user": user, "kind": kind, "resource": resource, "permission": permission}
        for (user, kind, resource), permission in sorted(found.items())
    ]


def roles(settings: Settings) -> list[dict[str, Any]]:
    """Return each role with its members, groups expanded, and its permissions by kind and name."""
    access = settings.access
    return [
        {
            "name": name,
            "members": sorted({user for member in role.members for user in access.groups.get(member, [member])}),
            "permissions": [
                {"kind": kind_of(kind), "resource": resource, "permission": permission}
                for kind, rights in sorted(role.permissions.items())
                for resource, permission in sorted(rights.items())
            ],
        }
        for name, role in sorted(access.roles.items())
    ]


def kind_of(key: str) -> str:
    """Return what MLflow calls the kind of a key of a role's permissions."""
    return to_snake(key).removesuffix("s")


def _permission(user: str, rights: Any, groups: Any) -> str:
    if user in rights:
        return str(rights[user])
    of_groups = [str(rights[group]) for group, members in groups.items() if user in members and group in rights]
    return max(of_groups, key=_STRENGTH.index, default="")
