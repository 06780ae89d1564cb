"""MLflow's API of users and permissions, in both of its forms.

Up to 3.10 each kind of permission has routes of its own, and a user's document lists those of experiments and
registered models, since 3.10.1 of scorers too; those of the gateway it does not list, so that they are not managed.
Newer versions have one route for all kinds, and list a user's permissions by role: those that were given to the user
alone are of a role `__user_ID__` (mlflow/server/auth/__init__.py, 2.9.2 to 3.17.2). Which of the two a server has is
read from the document of its administrator.
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.contract import Refused
from mlflow_backend.verify.answers import Answer
from mlflow_backend.verify.credentials import basic_header
from mlflow_backend.verify.model import Request
from mlflow_backend.verify.permissions import (
    EXPERIMENT,
    GATEWAY_ENDPOINT,
    GATEWAY_MODEL,
    GATEWAY_SECRET,
    MODEL,
    SCORER,
    Call,
    Found,
    Grant,
    User,
    Verb,
    scorer_key,
    scorer_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from mlflow_backend.verify.model import Exchange

_REST: Final = "/api/2.0/mlflow"
_NEWER: Final = "/api/3.0/mlflow/users/permissions"
NO_PERMISSIONS, DENY = "NO_PERMISSIONS", "DENY"
"""How settings and older versions call it that somebody may do nothing, and how newer ones do."""
NOT_FOUND: Final = 404
_BAD_REQUEST, _UNAUTHORIZED = 400, 401
_LEGACY: Final = {
    EXPERIMENT: f"{_REST}/experiments",
    MODEL: f"{_REST}/registered-models",
    SCORER: "/api/3.0/mlflow/scorers",
}
"""Kind -> its route up to MLflow 3.10."""
_GATEWAY: Final = {
    GATEWAY_ENDPOINT: ("endpoints", "endpoints", "name", "endpoint_id"),
    GATEWAY_MODEL: ("model-definitions", "model_definitions", "name", "model_definition_id"),
    GATEWAY_SECRET: ("secrets", "secrets", "secret_name", "secret_id"),
}
"""Kind -> its route, the field of its list, and those of a row's name and id."""


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
        self.has_roles = not self._legacy

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
        if exchange.status != NOT_FOUND:
            return Answer.of(exchange).text("experiment", "experiment_id")
        if not create:
            return ""
        return self._ask("POST", f"{_REST}/experiments/create", json={"name": name}).text("experiment_id")

    def gateway(self, kind: str, name: str) -> str:
        """Return the id of what the gateway has under a name, empty if there is none."""
        route, items, named, by = _GATEWAY[kind]
        rows = self._ask("GET", f"/api/3.0/mlflow/gateway/{route}/list").items(items)
        return next((str(row[by]) for row in rows if row[named] == name), "")

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
            self._permit_by_kind(verb, grant, permission)
            return
        named = {"username": grant.user, "resource_type": grant.kind, "resource_id": grant.key}
        # This form has no change: a permission is taken and given again.
        if verb is not Verb.GIVE:
            self._ask("POST", f"{_NEWER}/revoke", json=named)
        if verb is not Verb.REVOKE:
            wanted = DENY if permission == NO_PERMISSIONS else permission
            self._ask("POST", f"{_NEWER}/grant", json={**named, "permission": wanted})

    def _permit_by_kind(self, verb: Verb, grant: Grant, permission: str) -> None:
        """Change a permission up to MLflow 3.10, whose servers may list a user's as they were half a minute ago.

        So one that is there already is changed, one that is not is given, and one that is gone is not revoked.
        """
        route, content = f"{_LEGACY[grant.kind]}/permissions", {**_named(grant), "username": grant.user}
        if verb is Verb.REVOKE:
            gone = self._send(Request("DELETE", f"{route}/delete", json=content))
            if gone.status != NOT_FOUND:
                Answer.of(gone)
            return
        content["permission"] = permission
        ways = [Request("POST", f"{route}/create", json=content), Request("PATCH", f"{route}/update", json=content)]
        first, second = ways if verb is Verb.GIVE else reversed(ways)
        exchange = self._send(first)
        if exchange.status in {_BAD_REQUEST, NOT_FOUND}:
            exchange = self._send(second)
        Answer.of(exchange)

    def _grants(self, name: str, document: Mapping[str, Any]) -> Iterator[tuple[Grant, str]]:
        if self._legacy:
            for kind in _LEGACY:
                for each in document.get(f"{kind}_permissions", ()):
                    yield Grant(name, kind, _key(kind, each)), each["permission"]
            return
        for row in self._ask("GET", f"{_NEWER}/list", query={"username": name}).items("permissions"):
            if row["role_name"] == f"__user_{document['id']}__" and row["resource_type"] in {*_LEGACY, *_GATEWAY}:
                permission = NO_PERMISSIONS if row["permission"] == DENY else row["permission"]
                yield Grant(name, row["resource_type"], str(row["resource_pattern"])), permission

    def _user(self, name: str) -> dict[str, Any] | None:
        exchange = self._send(Request("GET", f"{_REST}/users/get", query={"username": name}))
        return None if exchange.status == NOT_FOUND else dict(Answer.of(exchange).document["user"])

    def _accepts(self, name: str, password: str) -> bool:
        headers = basic_header(name, password)
        request = Request("GET", f"{_REST}/users/get", query={"username": name}, headers=headers, anonymous=True)
        exchange = self._send(request)
        if exchange.status != _UNAUTHORIZED:
            Answer.of(exchange)
        return exchange.ok

    def _ask(self, method: str, path: str, **content: Any) -> Answer:
        return Answer.of(self._send(Request(method, path, **content)))


def _named(grant: Grant) -> dict[str, str]:
    """Return how a permission of MLflow up to 3.10 names what it is for."""
    if grant.kind == SCORER:
        experiment, scorer = scorer_of(grant.key)
        return {"experiment_id": experiment, "scorer_name": scorer}
    return {"experiment_id" if grant.kind == EXPERIMENT else "name": grant.key}


def _key(kind: str, permission: Mapping[str, Any]) -> str:
    if kind == SCORER:
        return scorer_key(str(permission["experiment_id"]), str(permission["scorer_name"]))
    return str(permission["experiment_id" if kind == EXPERIMENT else "name"])
