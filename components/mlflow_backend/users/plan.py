"""The calls that make users and permissions what the settings ask for: wanted against found. Pure."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from mlflow_backend.contract import Refused
from mlflow_backend.verify.permissions import Call, Verb

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from mlflow_backend.verify.permissions import Found, Grant


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """What the settings ask for: who is an administrator by user, and the permission of each grant."""

    admins: Mapping[str, bool] = field(default_factory=dict)
    grants: Mapping[Grant, str] = field(default_factory=dict)


def calls(
    wanted: Wanted, found: Found, *, made: Collection[str], granted: Collection[Grant], caller: str
) -> tuple[Call, ...]:
    """Return what has to be changed, withdrawals first; nothing if all is as wanted.

    `made` and `granted` are the users and grants that settings made before: nobody else is deleted, and nothing else
    revoked. `caller` is the administrator who makes the calls, whom no call concerns: so one administrator is left
    whatever the settings say. Raises Refused if the settings name the caller.
    """
    if caller in wanted.admins:
        raise Refused(
            f"names {caller}, the administrator by whom users are managed, and could lock out the last one",
            code="users-name-administrator",
            fix="Choose another name; a second administrator has admin: true",
            part="access.users",
        )
    return (*_withdrawn(wanted, found, made, granted, caller), *_added(wanted, found))


def _withdrawn(
    wanted: Wanted, found: Found, made: Collection[str], granted: Collection[Grant], caller: str
) -> Iterator[Call]:
    leaving = {name for name in made if name in found.users and name not in wanted.admins and name != caller}
    # Up to 3.10 MLflow deletes no user who has a permission left.
    for grant in sorted(found.grants):
        if grant.user in leaving or (grant in granted and grant not in wanted.grants):
            yield Call(verb=Verb.REVOKE, user=grant.user, grant=grant)
    for name in sorted(leaving):
        yield Call(verb=Verb.DELETE, user=name)
    for name, admin in sorted(wanted.admins.items()):
        if name in found.users and found.users[name].admin and not admin:
            yield Call(verb=Verb.DEMOTE, user=name)


def _added(wanted: Wanted, found: Found) -> Iterator[Call]:
    for name, admin in sorted(wanted.admins.items()):
        user = found.users.get(name)
        if user is None:
            yield Call(verb=Verb.CREATE, user=name)
        elif not user.accepted:
            yield Call(verb=Verb.PASSWORD, user=name)
        if admin and not (user and user.admin):
            yield Call(verb=Verb.PROMOTE, user=name)
    for grant, permission in sorted(wanted.grants.items()):
        if grant not in found.grants:
            yield Call(verb=Verb.GIVE, user=grant.user, grant=grant, permission=permission)
        elif found.grants[grant] != permission:
            yield Call(verb=Verb.CHANGE, user=grant.user, grant=grant, permission=permission)
