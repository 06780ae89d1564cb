"""Users, groups and permissions of MLflow's own access control, as settings."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final, Literal, get_args

from pydantic import Field
from pydantic.alias_generators import to_camel

from mlflow_backend.server import AccessControl, parse_version
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

RolePermission = Literal["READ", "USE", "EDIT", "MANAGE", "NO_PERMISSIONS"]
ByName = Literal[
    "experiments", "registeredModels", "prompts", "gatewayEndpoints", "gatewayModelDefinitions", "gatewaySecrets"
]
AsAWhole = Literal[
    "scorers", "mcpServers", "runs", "traces", "assessments", "loggedModels", "reviewQueues",
    "registeredModelVersions", "promptVersions", "scorerVersions", "mcpServerVersions",
]  # fmt: skip

_GATEWAY: Final = ("gateway_endpoints", "gateway_model_definitions", "gateway_secrets")
# Of the versions that ship: 3.10.1 has permissions of the gateway, and no way to list a user's.
_SINCE: Final = {"scorers": (3, 10, 1), **dict.fromkeys(_GATEWAY, (3, 17, 2))}
# 3.11 has roles too, but does not ship.
_ROLES_SINCE: Final = (3, 17, 2)


class User(Section):
    """A user of MLflow's own access control."""

    password: Annotated[str, Field(pattern=r"^(env|file|secretsmanager|kubernetes):.")]
    """The password by reference: env:NAME, file:PATH, or a secret of the platform; 12 characters or more."""
    admin: bool = False
    """May do everything, and manage users."""


class Permissions(Section):
    """What users and groups may do with what MLflow has."""

    default: Permission = "READ"
    """What a user may do with what nobody gave a permission for."""
    experiments: dict[Resource, Rights] = Field(default_factory=dict)
    """Experiment by name -> user or group -> permission. An experiment that does not exist is created."""
    registered_models: dict[Resource, Rights] = Field(default_factory=dict)
    """Registered model by name -> user or group -> permission."""
    scorers: dict[Resource, dict[Resource, Rights]] = Field(default_factory=dict)
    """Experiment by name -> scorer by name -> user or group -> permission. MLflow 3.10.1 and newer."""
    gateway_endpoints: dict[Resource, Rights] = Field(default_factory=dict)
    """Endpoint of MLflow's gateway by name -> user or group -> permission. MLflow 3.17.2 and newer."""
    gateway_model_definitions: dict[Resource, Rights] = Field(default_factory=dict)
    """Model definition of MLflow's gateway by name -> user or group -> permission. MLflow 3.17.2 and newer."""
    gateway_secrets: dict[Resource, Rights] = Field(default_factory=dict)
    """Secret of MLflow's gateway by name -> user or group -> permission. MLflow 3.17.2 and newer."""

    def given(self) -> Iterator[tuple[str, Rights]]:
        """Yield the path of each resource below this section, with the rights on it."""
        for kind in ("experiments", "registered_models", *_GATEWAY):
            for resource, rights in getattr(self, kind).items():
                yield f"{to_camel(kind)}.{shown_key(resource)}", rights
        for experiment, scorers in self.scorers.items():
            for scorer, rights in scorers.items():
                yield f"scorers.{shown_key(experiment)}.{shown_key(scorer)}", rights


class Role(Section):
    """A role of MLflow: permissions under one name, also for all of a kind, and who has it."""

    members: list[Name] = Field(default_factory=list)
    """Users and groups that have the role."""
    permissions: dict[ByName | AsAWhole, dict[Resource, RolePermission]] = Field(default_factory=dict)
    """Kind -> name, or '*' for all of the kind -> permission. Kinds that have no names by themselves take '*' only."""


def users_of_basic_auth(settings: Settings) -> Iterator[Problem]:
    """Refuse users and permissions if no MLflow is asked for them: they would be ignored."""
    access = settings.access
    for name in ("users", "groups", "permissions", "roles"):
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
    rights = [(f"access.permissions.{path}", names) for path, names in access.permissions.given()]
    roles = [(f"access.roles.{shown_key(role)}.members", wanted.members) for role, wanted in access.roles.items()]
    for path, names in (*rights, *roles):
        for name in names:
            if name not in access.users and name not in access.groups:
                rule = "permissions and roles are given to access.users and access.groups"
                yield _unknown(path, name, rule)


def kinds_of_permissions(settings: Settings) -> Iterator[Problem]:
    """Refuse permissions of what the MLflow version has none for, or does not list among a user's."""
    version = settings.server.mlflow_version
    for kind, since in _SINCE.items():
        if getattr(settings.access.permissions, kind) and parse_version(version) < since:
            first = ".".join(map(str, since))
            yield Problem(
                path=f"access.permissions.{to_camel(kind)}",
                finding="is set",
                rule=f"they are managed with MLflow {first} and newer, and server.mlflowVersion is {version}",
                fix="Remove it, or choose a newer MLflow.",
            )


def permissions_of_roles(settings: Settings) -> Iterator[Problem]:
    """Refuse roles of a version that has none, and names of what a role can only be given as a whole."""
    version, roles = settings.server.mlflow_version, settings.access.roles
    if roles and parse_version(version) < _ROLES_SINCE:
        first = ".".join(map(str, _ROLES_SINCE))
        yield Problem(
            path="access.roles",
            finding="is set",
            rule=f"roles are managed with MLflow {first} and newer, and server.mlflowVersion is {version}",
            fix="Use access.groups, or choose a newer MLflow.",
        )
    for name, role in roles.items():
        for kind in get_args(AsAWhole):
            if others := sorted({*role.permissions.get(kind, ())} - {"*"}):
                yield Problem(
                    path=f"access.roles.{shown_key(name)}.permissions.{kind}",
                    finding=f"names {shown_key(others[0])}",
                    rule="a role has these as a whole",
                    fix="Write '*' in its place, or remove it.",
                )


def _unknown(path: str, name: str, rule: str) -> Problem:
    return Problem(
        path=path, finding=f"names {shown_key(name)}, which is not there", rule=rule, fix="Add it there, or remove it."
    )
