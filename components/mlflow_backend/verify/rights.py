"""The check of what weaker users may do: a reader, and a user without permissions, made for it and deleted again."""

from __future__ import annotations

import secrets
from typing import TYPE_CHECKING, Final

from mlflow_backend.contract import Refused
from mlflow_backend.verify.answers import Answer
from mlflow_backend.verify.context import REST
from mlflow_backend.verify.credentials import basic_header, read_reference
from mlflow_backend.verify.model import Finding, Request, Unexpected, failed, passed, skipped
from mlflow_backend.verify.permissions import EXPERIMENT, Call, Grant, Verb
from mlflow_backend.verify.users_api import UsersApi

if TYPE_CHECKING:
    from mlflow_backend.verify.context import Context

_FORBIDDEN: Final = 403
_READER, _NOBODY = "reader", "nobody"
_GIVEN: Final = {_READER: "READ", _NOBODY: "NO_PERMISSIONS"}


def rights(context: Context) -> Finding:
    """A user who may read reads and changes nothing, and a user without permissions sees nothing."""
    references = context.subject.credentials
    if "username" not in references:
        return skipped("no users of MLflow's own are here: access.mode is not basic")
    try:
        api = UsersApi(
            context.send, caller=read_reference("username", references["username"], context.subject.live.secrets)
        )
    except Refused:
        return skipped("whoever verifies is no administrator of MLflow, and makes no users")
    users = {role: f"_verify-{role}-{secrets.token_hex(8)}" for role in _GIVEN}
    logins = {role: _made(context, api, users[role], permission) for role, permission in _GIVEN.items()}
    experiment = context.created.experiment_id
    reading = Request("GET", f"{REST}/experiments/get", query={"experiment_id": experiment})
    writing = Request("POST", f"{REST}/runs/create", json={"experiment_id": experiment})
    for role, request, allowed in (
        (_READER, reading, True),
        (_READER, writing, False),
        (_NOBODY, reading, False),
        (_NOBODY, writing, False),
    ):
        finding = _asked(context, role, request, logins[role], allowed=allowed)
        if finding is not None:
            return finding
    return passed("a reader reads and cannot write, and a user without permissions can do neither")


def _made(context: Context, api: UsersApi, user: str, permission: str) -> dict[str, str]:
    """Make a user who is deleted after the checks; return the header by which it signs in."""
    password = secrets.token_urlsafe(24)
    grant = Grant(user, EXPERIMENT, context.created.experiment_id)

    def remove(later: Context) -> None:
        api.through(later.send).remove(user)

    context.undo_later("user", remove)
    api.run(Call(verb=Verb.CREATE, user=user), {user: password})
    api.run(Call(verb=Verb.GIVE, user=user, grant=grant, permission=permission), {})
    return basic_header(user, password)


def _asked(context: Context, role: str, request: Request, login: dict[str, str], *, allowed: bool) -> Finding | None:
    exchange = context.send(
        Request(request.method, request.path, query=request.query, json=request.json, headers=login, anonymous=True)
    )
    if allowed:
        Answer.of(exchange, fresh=True)
    elif exchange.ok:
        return failed(
            f"{request.called} of a {role} was answered with {exchange.status}",
            code="rights-open",
            cause="MLflow's permissions do not hold on this route: users do more than they were given.",
            next_step="See that the server runs this project's plugin (docs/users.md says who may do what).",
        )
    elif exchange.status != _FORBIDDEN:
        raise Unexpected(exchange, fresh=True)
    return None
