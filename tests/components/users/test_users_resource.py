"""The work on users: what an update makes is gone if it fails, and what a preview compares asks for nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

import pytest

from mlflow_backend.contract import Refused
from mlflow_backend.users.resource import _Session
from mlflow_backend.verify.model import Exchange, Unexpected
from mlflow_backend.verify.permissions import (
    EXPERIMENT,
    GATEWAY_ENDPOINT,
    MODEL,
    Call,
    Grant,
    Role,
    RoleCall,
    RoleVerb,
    Verb,
)

if TYPE_CHECKING:
    from mlflow_backend.verify.roles_api import RolesApi
    from mlflow_backend.verify.users_api import UsersApi


class Mlflow:
    """MLflow's API of users and of roles, which refuses one call and knows nothing of a gateway."""

    has_roles = True

    def __init__(self, refuses: Call | RoleCall | None = None) -> None:
        """Name the call that it refuses."""
        self.refuses, self.done = refuses, list[Call | RoleCall | str]()

    def run(self, call: Call | RoleCall, _passwords: Any = None) -> None:
        """Do a call, or refuse it."""
        if call == self.refuses:
            raise Unexpected(Exchange(method="POST", path="/users", status=500))
        self.done.append(call)

    def remove(self, name: str) -> None:
        """Delete a user."""
        self.done.append(f"removed {name}")

    def gateway(self, _kind: str, _name: str) -> str:
        """Find nothing."""
        return ""

    def find(self, *_: Any) -> dict[str, Role]:
        """Find no role."""
        return {}


def session(mlflow: Mlflow, **props: Any) -> _Session:
    """Return a session with it."""
    return _Session(
        api=cast("UsersApi", mlflow), roles=cast("RolesApi", mlflow), caller="admin", props=props, passwords={}
    )


def test_what_an_update_made_is_gone_if_it_fails() -> None:
    """No state would know of a user or a role that was made before the call that failed; others' are left alone."""
    grant = Grant("ada", EXPERIMENT, "1")
    made = (
        Call(verb=Verb.CREATE, user="ada"),
        RoleCall(verb=RoleVerb.CREATE, role="analyst"),
        Call(verb=Verb.PROMOTE, user="bob"),
    )
    failing = Call(verb=Verb.GIVE, user="ada", grant=grant, permission="READ")
    mlflow = Mlflow(refuses=failing)
    with pytest.raises(Unexpected):
        session(mlflow).run((*made, failing, Call(verb=Verb.CREATE, user="eve")))
    assert mlflow.done == [*made, "removed ada", RoleCall(verb=RoleVerb.DELETE, role="analyst")]


def test_what_the_gateway_lacks_is_refused_by_an_update_alone() -> None:
    """A refresh compares what is there; an update would give a permission for nothing."""
    found = session(Mlflow())
    assert found._key(GATEWAY_ENDPOINT, "chat", create=False) == ""
    with pytest.raises(Refused) as refused:
        found._key(GATEWAY_ENDPOINT, "chat", create=True)
    assert refused.value.code == "users-gateway-unknown"
    assert found._key(MODEL, "fraud", create=True) == "fraud"


def test_roles_are_refused_if_the_server_has_none() -> None:
    """A version without roles would leave users without what the settings give them; without roles nothing is asked."""
    older = Mlflow()
    older.has_roles = False
    with pytest.raises(Refused) as refused:
        session(older, roles=[{"name": "analyst", "members": [], "permissions": []}])._role_calls(create=False)
    assert refused.value.code == "users-no-roles"
    assert session(older)._role_calls(create=False) == ()
