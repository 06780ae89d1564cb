"""The calls that make MLflow's roles what the settings ask for: wanted against found. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.verify.permissions import Role, RoleCall, RoleVerb

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping


def calls(wanted: Mapping[str, Role], found: Mapping[str, Role], *, made: Collection[str]) -> tuple[RoleCall, ...]:
    """Return what has to be changed; nothing if all is as wanted.

    A role that the settings name is theirs as a whole: what else it has is withdrawn. `made` are the roles that
    settings made before: no other is deleted.
    """
    gone = sorted({*made} & found.keys() - wanted.keys())
    deleted = (RoleCall(verb=RoleVerb.DELETE, role=name) for name in gone)
    changed = (call for name, role in sorted(wanted.items()) for call in _of(name, role, found.get(name)))
    return (*deleted, *changed)


def _of(name: str, wanted: Role, found: Role | None) -> Iterator[RoleCall]:
    """Withdraw first, and assign last: nobody has a role that is not complete."""
    if found is None:
        yield RoleCall(verb=RoleVerb.CREATE, role=name)
        found = Role()
    for member in sorted(found.members - wanted.members):
        yield RoleCall(verb=RoleVerb.UNASSIGN, role=name, member=member)
    for resource in sorted(found.permissions.keys() - wanted.permissions.keys()):
        yield RoleCall(verb=RoleVerb.REVOKE, role=name, resource=resource)
    for resource, permission in sorted(wanted.permissions.items()):
        if found.permissions.get(resource) != permission:
            verb = RoleVerb.CHANGE if resource in found.permissions else RoleVerb.GIVE
            yield RoleCall(verb=verb, role=name, resource=resource, permission=permission)
    for member in sorted(wanted.members - found.members):
        yield RoleCall(verb=RoleVerb.ASSIGN, role=name, member=member)
