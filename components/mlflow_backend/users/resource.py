"""The work of the dynamic resource Users: what is asked for, applied or compared with what MLflow has."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.contract import BackendError, PlatformFailed, Refused
from mlflow_backend.dynamic import UPDATE_ID, asked_again, is_unknown
from mlflow_backend.locator import from_document
from mlflow_backend.users import plan, roles
from mlflow_backend.users.passwords import password_of
from mlflow_backend.users.plan import Wanted
from mlflow_backend.verify import credentials
from mlflow_backend.verify.client import Client, Deadline, Transport
from mlflow_backend.verify.model import Unexpected
from mlflow_backend.verify.permissions import (
    EVERY,
    EXPERIMENT,
    MODEL,
    PROMPT,
    SCORER,
    Call,
    Grant,
    Resource,
    Role,
    RoleCall,
    RoleVerb,
    Verb,
    scorer_key,
    scorer_of,
)
from mlflow_backend.verify.roles_api import RolesApi
from mlflow_backend.verify.users_api import UsersApi

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow_backend.verify.model import Exchange, Request
    from mlflow_backend.verify.permissions import Found

INPUTS: Final = ("url", "locator", "credentials", "users", "permissions", "roles")
_MADE: Final = ("made", "granted", "madeRoles")
OUTPUTS: Final = (*_MADE, "drift")
_DEADLINE_S: Final = 120.0
_REQUEST_S: Final = 30.0


def problem(inputs: Mapping[str, Any]) -> str | None:
    """Return why the users of a backend cannot be managed, as far as its inputs are known."""
    locator = inputs.get("locator")
    if not (inputs.get("users") or inputs.get("roles")) or is_unknown(locator) or not isinstance(locator, dict):
        return None
    if getattr(from_document(locator), "inside", False):
        return (
            "access.users and access.roles: the backend's URL can be called from its own network only, and passwords "
            "are not sent there by a task. Manage users there by MLflow's API, or let the URL be called from here"
        )
    return None


def changed(olds: Mapping[str, Any], news: Mapping[str, Any]) -> bool:
    """Return whether an update has work: other inputs, a drift that a refresh saw, or users to compare."""
    # Nothing is the same as an empty list: a state of before roles were settings has none.
    return (
        any((olds.get(key) or None) != (news.get(key) or None) for key in INPUTS)
        or bool(olds.get("drift"))
        or asked_again(olds, news)
    )


def drifted(props: Mapping[str, Any]) -> list[str]:
    """Return what an update would change; a backend that does not answer is a finding, which the update mends."""
    if not any(props.get(key) for key in ("users", "roles", *_MADE)):
        return []
    try:
        with _session(props) as session:
            return [str(call) for call in session.calls(create=False)]
    except BackendError as error:
        return [error.finding]


def apply(inputs: Mapping[str, Any], olds: Mapping[str, Any]) -> dict[str, Any]:
    """Make users and permissions what the inputs ask for, and return the resource's outputs.

    What is as it should be is left alone. Raises Refused or PlatformFailed; users that this call made are gone then.
    """
    outputs: dict[str, Any] = {key: inputs.get(key) for key in (*INPUTS, UPDATE_ID)}
    known = {key: olds.get(key) or [] for key in _MADE}
    if not inputs.get("users") and not inputs.get("roles") and not any(known.values()):
        return {**outputs, **{key: [] for key in OUTPUTS}}
    with _session({**inputs, **known}) as session:
        calls = session.calls(create=True)
        session.run(calls)
        created = {call.user for call in calls if call.verb is Verb.CREATE}
        new_roles = {call.role for call in calls if call.verb is RoleVerb.CREATE}
    named = {role["name"] for role in inputs.get("roles") or ()}
    return {
        **outputs,
        "made": sorted(created | ({*known["made"]} & {*inputs["users"]})),
        "granted": [list(each) for each in sorted(session.granted)],
        "madeRoles": sorted(new_roles | ({*known["madeRoles"]} & named)),
        "drift": [],
    }


@dataclass(kw_only=True)
class _Session:
    """One look at a backend's users, and the changes that follow from it."""

    api: UsersApi
    roles: RolesApi
    caller: str
    props: Mapping[str, Any]
    passwords: Mapping[str, str]
    granted: tuple[Grant, ...] = ()

    def calls(self, *, create: bool) -> tuple[Call | RoleCall, ...]:
        """Return what has to be changed. `create`: experiments that a permission is for, and that there are not."""
        wanted = self._wanted(create=create)
        self.granted = tuple(wanted.grants)
        made = frozenset(self.props.get("made") or ())
        granted = [Grant(*each) for each in self.props.get("granted") or ()]
        found: Found = self.api.find(self.passwords, {*made, *(each.user for each in granted)})
        of_users = plan.calls(wanted, found, made=made, granted=granted, caller=self.caller)
        return (*of_users, *self._role_calls(create=create))

    def run(self, calls: tuple[Call | RoleCall, ...]) -> None:
        """Make the changes; if one fails, users and roles that were made are deleted: no state would know them."""
        done: list[Call | RoleCall] = []
        try:
            for call in calls:
                self._run(call)
                done.append(call)
        except Unexpected:
            for call in done:
                with contextlib.suppress(Unexpected):
                    if call.verb is Verb.CREATE:
                        self.api.remove(call.user)
                    elif call.verb is RoleVerb.CREATE:
                        self.roles.run(RoleCall(verb=RoleVerb.DELETE, role=call.role))
            raise

    def _run(self, call: Call | RoleCall) -> None:
        if isinstance(call, RoleCall):
            self.roles.run(call)
        else:
            self.api.run(call, self.passwords)

    def _role_calls(self, *, create: bool) -> tuple[RoleCall, ...]:
        named, made = self.props.get("roles") or (), self.props.get("madeRoles") or ()
        if named and not self.api.has_roles:
            raise Refused(
                "the server that runs is of a version of MLflow without roles",
                code="users-no-roles",
                fix="Remove them, or serve a version that has roles",
                part="access.roles",
            )
        if not self.api.has_roles or not (named or made):
            return ()
        wanted = {
            role["name"]: Role(
                members=frozenset(role["members"]),
                permissions={
                    Resource(row["kind"], self._key(row["kind"], row["resource"], create=create)): row["permission"]
                    for row in role["permissions"]
                },
            )
            for role in named
        }
        return roles.calls(wanted, self.roles.find(), made=made)

    def _wanted(self, *, create: bool) -> Wanted:
        rows = self.props.get("permissions") or ()
        named = sorted({(row["kind"], row["resource"]) for row in rows})
        keys = {(kind, name): self._key(kind, name, create=create) for kind, name in named}
        return Wanted(
            admins={name: bool(user["admin"]) for name, user in self.props["users"].items()},
            grants={
                Grant(row["user"], row["kind"], keys[row["kind"], row["resource"]]): row["permission"] for row in rows
            },
        )

    def _key(self, kind: str, name: str, *, create: bool) -> str:
        """Return the key of what has a name, empty if there is none. Raises Refused if it has to be there."""
        if name == EVERY or kind in {MODEL, PROMPT}:
            return name
        if kind == EXPERIMENT:
            return self.api.experiment(name, create=create)
        if kind == SCORER:
            experiment, scorer = scorer_of(name)
            return scorer_key(self.api.experiment(experiment, create=create), scorer)
        found, what = self.api.gateway(kind, name), kind.replace("_", " ")
        if not found and create:
            raise Refused(
                f"names {what} {name}, which the gateway does not have",
                code="users-gateway-unknown",
                fix="Make it in MLflow first, or remove its permissions",
                part="access",
            )
        return found


@contextlib.contextmanager
def _session(props: Mapping[str, Any]) -> Iterator[_Session]:
    from mlflow_backend.releases.targets import open_releases  # noqa: PLC0415 - a preview only compares

    readers = open_releases(from_document(props["locator"])).platform.secrets()
    passwords = {name: password_of(name, user["password"], readers) for name, user in props["users"].items()}
    caller = credentials.read_reference("username", props["credentials"]["username"], readers)
    client = Client(
        props["url"],
        credentials.resolve(props["credentials"], readers),
        Transport(),
        request_timeout_s=_REQUEST_S,
    )
    try:
        deadline = Deadline(_DEADLINE_S)

        def send(request: Request) -> Exchange:
            return client.send(request, deadline=deadline)

        api = UsersApi(send, caller=caller)
        yield _Session(api=api, roles=RolesApi(send), caller=caller, props=props, passwords=passwords)
    except Unexpected as unexpected:
        raise _not_managed(unexpected.exchange) from None
    finally:
        client.close()


def _not_managed(exchange: Exchange) -> PlatformFailed:
    """Return the error for an answer of MLflow.

    Of its words only the code is quoted: the message may hold a row of the users' table, with its hash.
    """
    try:
        code = json.loads(exchange.body)["error_code"]
    except (ValueError, KeyError, TypeError):
        code = exchange.detail
    words = (str(exchange.status or exchange.trouble), str(code))
    return PlatformFailed(
        f"{exchange.called} was answered with {' '.join(filter(None, words))}",
        code="users-not-managed",
        fix="See the server's log (`make logs`), and repeat",
        part="access.users",
    )
