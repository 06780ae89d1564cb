"""Users, groups and permissions of MLflow's own access control, as settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import Field

from mlflow_backend.server import AccessControl
from mlflow_backend.settings.problems import Problem, shown_key
from mlflow_backend.settings.section import Section

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow_backend.settings.models import Settings

# No colon, which ends the user in HTTP's basic authentication; ASCII, as MLflow's clients and servers agree on no more.
Name = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._@+-]{0,99}$")]
Permission = Literal["READ", "EDIT", "MANAGE", "NO_PERMISSIONS"]
Rights = dict[Name, Permission]
Resource = Annotated[str, Field(min_length=1, max_length=256)]


class User(Section):
    """A user of MLflow's own access control."""

    password: Annotated[str, Field(pattern=r"^(env|file|secretsmanager|kubernetes):.")]
    """The password by reference: env:NAME, file:PATH, or a secret of the platform; 12 characters or more."""
    admin: bool = False
    """May do everything, and manage users."""


class Permissions(Section):
    """What users and groups may do with which experiment or registered model."""

    default: Permission = "READ"
    """What a user may do with what nobody gave a permission for."""
    experiments: dict[Resource, Rights] = Field(default_factory=dict)
    """Experiment by name -> user or group -> permission. An experiment that does not exist is created."""
    registered_models: dict[Resource, Rights] = Field(default_factory=dict)
    """Registered model by name -> user or group -> permission."""


def users_of_basic_auth(settings: Settings) -> Iterator[Problem]:
    """Refuse users and permissions if no MLflow is asked for them: they would be ignored."""
    access = settings.access
    for name in ("users", "groups", "permissions"):
        if access.mode != "basic" and getattr(access, name) != getattr(type(access)(), name):
            yield Problem(
                path=f"access.{name}",
                finding="is set",
                rule=f"users are MLflow's own (access.mode basic), and access.mode is {access.mode}",
                fix="Remove it, or set access.mode to basic.",
            )


def names_of_users(settings: Settings) -> Iterator[Problem]:
    """Refuse names that mean two things or nothing: the administrator's, a user's for a group, and unknown ones."""
    access = settings.access
    if AccessControl.admin_user in access.users:
        yield Problem(
            path=f"access.users.{AccessControl.admin_user}",
            finding="is the backend's own administrator",
            rule="every update signs in as this user, whose password is kept with the stack's secrets",
            fix="Choose another name, with admin: true.",
        )
    for group, members in access.groups.items():
        if group in access.users:
            yield Problem(
                path=f"access.groups.{shown_key(group)}",
                finding="has the name of a user",
                rule="a permission names one of the two",
                fix="Rename the group.",
            )
        for member in members:
            if member not in access.users:
                yield _unknown(f"access.groups.{shown_key(group)}", member, "a group's members are of access.users")
    for kind, given in (
        ("experiments", access.permissions.experiments),
        ("registeredModels", access.permissions.registered_models),
    ):
        for resource, rights in given.items():
            for name in rights:
                if name not in access.users and name not in access.groups:
                    path = f"access.permissions.{kind}.{shown_key(resource)}"
                    yield _unknown(path, name, "permissions are given to access.users and access.groups")


def _unknown(path: str, name: str, rule: str) -> Problem:
    return Problem(
        path=path, finding=f"names {shown_key(name)}, which is not there", rule=rule, fix="Add it there, or remove it."
    )
