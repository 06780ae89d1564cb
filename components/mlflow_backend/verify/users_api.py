"""MLflow's API of users and permissions, in both of its forms.

Up to 3.10 a permission is of an experiment or of a registered model, with routes of its own, and a user's document
lists both. Newer versions have one route for all kinds, and list a user's permissions by role: those that were given to
the user alone are of a role `__user_ID__` (mlflow/server/auth/__init__.py, 2.9.2 to 3.17.2). Which of the two a server
has is read from the document of its administrator.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.contract import Refused
from mlflow_backend.verify.answers import Answer
from mlflow_backend.verify.credentials import basic_header
from mlflow_backend.verify.model import Request
from mlflow_backend.verify.permissions import EXPERIMENT, MODEL, Call, Found, Grant, User, Verb

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from mlflow_backend.verify.model import Exchange

_REST: Final = "/api/2.0/mlflow"
_NEWER: Final = "/api/3.0/mlflow/users/permissions"
_NO_PERMISSIONS, _DENY = "NO_PERMISSIONS", "DENY"
_UNAUTHORIZED, _NOT_FOUND = 401, 404
_LEGACY: Final = {EXPERIMENT: ("experiments", "experiment_id"), MODEL: ("registered-models", "name")}
"""Kind -> its route up to MLflow 3.10, and the key by which a permission names what it is for."""


class UsersApi:
    """Calls as one administrator. What MLflow answers to none of them is Unexpected."""

    def __init__(self, send: Callable[[Request], Exchange], *, caller: str) -> None:
        """Ask which form of the API the server has. Raises Refused if the caller is no administrator."""
        self._send = send
        document = self._user(caller) or {}
        if not document.get("is_admin"):
            raise Refused(
                f"{caller}, as whom users are managed, is no administrator of MLflow",
                code="users-caller-no-administrator",
                fix="Make this user an administrator again, as another one or in the database",
                part="access.users",
            )
        self._legacy = "experiment_permissions" in document

    def through(self, send: Callable[[Request], Exchange]) -> UsersApi:
        """Return the same API by other means of sending."""
        other = copy.copy(self)
        other._send = send  # noqa: SLF001 - a copy of this object
        return other

    def find(self, passwords: Mapping[str, str], others: Collection[str]) -> Found:
        """Return the users that there are of those with a wanted password, and of others, with their grants."""
        users: dict[str, User] = {}
        grants: dict[Grant, str] = {}
        for name in sorted({*passwords, *others}):
            if (document := self._user(name)) is None:
                continue
            accepted = name not in passwords or self._accepts(name, passwords[name])
            users[name] = User(admin=bool(document["is_admin"]), accepted=accepted)
            grants |= dict(self._grants(name, document))
        return Found(users=users, grants=grants)

    def experiment(self, name: str, *, create: bool) -> str:
        """Return an experiment's id, empty if there is none and none is to be created."""
        query = {"experiment_name": name}
        exchange = self._send(Request("GET", f"{_REST}/experiments/get-by-name", query=query))
        if exchange.status != _NOT_FOUND:
            return Answer.of(exchange).text("experiment", "experiment_id")
        if not create:
            return ""
        return self._ask("POST", f"{_REST}/experiments/create", json={"name": name}).text("experiment_id")

    def run(self, call: Call, passwords: Mapping[str, str]) -> None:
        """Make one change. Raises Unexpected."""
        user: dict[str, Any] = {"username": call.user}
        match call.verb:
            case Verb.CREATE:
                self._ask("POST", f"{_REST}/users/create", json={**user, "password": passwords[call.user]})
            case Verb.DELETE:
                self._ask("DELETE", f"{_REST}/users/delete", json=user)
            case Verb.PASSWORD:
                self._ask("PATCH", f"{_REST}/users/update-password", json={**user, "password": passwords[call.user]})
            case Verb.PROMOTE | Verb.DEMOTE:
                self._ask("PATCH", f"{_REST}/users/update-admin", json={**user, "is_admin": call.verb is Verb.PROMOTE})
            case _ if call.grant is not None:
                self._permit(call.verb, call.grant, call.permission)

    def remove(self, name: str) -> None:
        """Delete a user, if there is one, with the permissions that it has."""
        for grant in self.find({}, [name]).grants:
            self.run(Call(verb=Verb.REVOKE, user=name, grant=grant), {})
        if self._user(name) is not None:
            self.run(Call(verb=Verb.DELETE, user=name), {})

    def _permit(self, verb: Verb, grant: Grant, permission: str) -> None:
        if self._legacy:
            route, key = _LEGACY[grant.kind]
            method, action = {
                Verb.GIVE: ("POST", "create"),
                Verb.CHANGE: ("PATCH", "update"),
                Verb.REVOKE: ("DELETE", "delete"),
            }[verb]
            content = {key: grant.key, "username": grant.user}
            if verb is not Verb.REVOKE:
                content["permission"] = permission
            self._ask(method, f"{_REST}/{route}/permissions/{action}", json=content)
            return
        named = {"username": grant.user, "resource_type": grant.kind, "resource_id": grant.key}
        # This form has no change: a permission is taken and given again.
        if verb is not Verb.GIVE:
            self._ask("POST", f"{_NEWER}/revoke", json=named)
        if verb is not Verb.REVOKE:
            wanted = _DENY if permission == _NO_PERMISSIONS else permission
            self._ask("POST", f"{_NEWER}/grant", json={**named, "permission": wanted})

    def _grants(self, name: str, document: Mapping[str, Any]) -> Iterator[tuple[Grant, str]]:
        if self._legacy:
            for kind, (_, key) in _LEGACY.items():
                for each in document.get(f"{kind}_permissions", ()):
                    yield Grant(name, kind, str(each[key])), each["permission"]
            return
        for row in self._ask("GET", f"{_NEWER}/list", query={"username": name}).items("permissions"):
            if row["role_name"] == f"__user_{document['id']}__" and row["resource_type"] in _LEGACY:
                permission = _NO_PERMISSIONS if row["permission"] == _DENY else row["permission"]
                yield Grant(name, row["resource_type"], str(row["resource_pattern"])), permission

    def _user(self, name: str) -> dict[str, Any] | None:
        exchange = self._send(Request("GET", f"{_REST}/users/get", query={"username": name}))
        return None if exchange.status == _NOT_FOUND else dict(Answer.of(exchange).document["user"])

    def _accepts(self, name: str, password: str) -> bool:
        headers = basic_header(name, password)
        request = Request("GET", f"{_REST}/users/get", query={"username": name}, headers=headers, anonymous=True)
        exchange = self._send(request)
        if exchange.status != _UNAUTHORIZED:
            Answer.of(exchange)
        return exchange.ok

    def _ask(self, method: str, path: str, **content: Any) -> Answer:
        return Answer.of(self._send(Request(method, path, **content)))
