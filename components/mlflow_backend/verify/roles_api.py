"""MLflow's API of roles, of versions that have one (3.17.2 of those that are shipped), in the workspace `default`.

A server without workspaces keeps everybody's permissions in that workspace (mlflow/server/auth/sqlalchemy_store.py,
3.17.2), so that its roles need none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.verify.answers import Answer
from mlflow_backend.verify.model import Request
from mlflow_backend.verify.permissions import Resource, Role, RoleVerb
from mlflow_backend.verify.users_api import DENY, NO_PERMISSIONS, NOT_FOUND

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend.verify.model import Exchange
    from mlflow_backend.verify.permissions import RoleCall

_ROLES: Final = "/api/3.0/mlflow/roles"
_WORKSPACE: Final = "default"


class RolesApi:
    """Calls as one administrator. What MLflow answers to none of them is Unexpected."""

    def __init__(self, send: Callable[[Request], Exchange]) -> None:
        """Take what sends a request; nothing is sent yet."""
        self._send = send
        self._rows: dict[str, dict[str, Any]] = {}

    def find(self) -> dict[str, Role]:
        """Return all roles by name, but those that MLflow keeps for a user's own permissions."""
        rows = self._ask("GET", f"{_ROLES}/list", query={"workspace": _WORKSPACE}).items("roles")
        self._rows = {str(row["name"]): row for row in rows if not str(row["name"]).startswith("__user_")}
        users = self._ask("GET", "/api/2.0/mlflow/users/list").items("users")
        return {
            name: Role(
                members=frozenset(
                    str(user["username"]) for user in users if row["id"] in {each["id"] for each in user["roles"]}
                ),
                permissions={
                    Resource(each["resource_type"], str(each["resource_pattern"])): _ours(each["permission"])
                    for each in row["permissions"]
                },
            )
            for name, row in self._rows.items()
        }

    def run(self, call: RoleCall) -> None:
        """Make one change of what `find` returned. Raises Unexpected."""
        if call.verb is RoleVerb.CREATE:
            content = {"name": call.role, "workspace": _WORKSPACE}
            self._rows[call.role] = self._ask("POST", f"{_ROLES}/create", json=content).document["role"]
            return
        role = {"role_id": self._rows[call.role]["id"]}
        match call.verb:
            case RoleVerb.DELETE:
                self._ask("DELETE", f"{_ROLES}/delete", json=role)
            case RoleVerb.ASSIGN:
                self._ask("POST", f"{_ROLES}/assign", json={**role, "username": call.member})
            case RoleVerb.UNASSIGN:
                # A user who was deleted has no role left.
                content = {**role, "username": call.member}
                exchange = self._send(Request("DELETE", f"{_ROLES}/unassign", json=content))
                if exchange.status != NOT_FOUND:
                    Answer.of(exchange)
            case _ if call.resource is not None:
                self._permit(call, call.resource, role)

    def _permit(self, call: RoleCall, resource: Resource, role: dict[str, Any]) -> None:
        wanted = {"permission": DENY if call.permission == NO_PERMISSIONS else call.permission}
        if call.verb is RoleVerb.GIVE:
            named = {"resource_type": resource.kind, "resource_pattern": resource.key}
            self._ask("POST", f"{_ROLES}/permissions/add", json={**role, **named, **wanted})
            return
        rows = self._rows[call.role]["permissions"]
        row = next(each for each in rows if resource == (each["resource_type"], str(each["resource_pattern"])))
        content = {"role_permission_id": row["id"]}
        if call.verb is RoleVerb.REVOKE:
            self._ask("DELETE", f"{_ROLES}/permissions/remove", json=content)
        else:
            self._ask("PATCH", f"{_ROLES}/permissions/update", json={**content, **wanted})

    def _ask(self, method: str, path: str, **content: Any) -> Answer:
        return Answer.of(self._send(Request(method, path, **content)))


def _ours(permission: str) -> str:
    return NO_PERMISSIONS if permission == DENY else permission
