"""The settings' users and permissions, made by MLflow's API of one real server."""

from __future__ import annotations

import base64
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, get_args

import pytest

from mlflow_backend.contract import Refused
from mlflow_backend.server import parse_version
from mlflow_backend.settings.users import AsAWhole, ByName
from mlflow_backend.users import plan, roles
from mlflow_backend.users.desired import kind_of
from mlflow_backend.users.plan import Wanted
from mlflow_backend.verify import runner
from mlflow_backend.verify.client import Client, Deadline, Transport
from mlflow_backend.verify.credentials import Credentials
from mlflow_backend.verify.permissions import (
    EVERY,
    EXPERIMENT,
    GATEWAY_ENDPOINT,
    GATEWAY_MODEL,
    GATEWAY_SECRET,
    MODEL,
    SCORER,
    Call,
    Grant,
    Resource,
    Role,
    RoleVerb,
    Verb,
    scorer_key,
)
from mlflow_backend.verify.request import VerifyRequest
from mlflow_backend.verify.roles_api import RolesApi
from mlflow_backend.verify.subjects import Subject
from mlflow_backend.verify.users_api import UsersApi
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.server.servers import Server
    from tests.server.services import Services

PASSWORDS = {"lin": "a password of lin's own", "max": "a password of max's own"}
DENIED = "NO_PERMISSIONS"
_CREATE_RUN = "/api/2.0/mlflow/runs/create"
_MODEL = "/api/2.0/mlflow/registered-models/get?name=credit"


def login(name: str, password: str) -> dict[str, str]:
    """Return the header of a user."""
    return {"authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def follow_what_is_wanted(server: Server, administrator: str) -> None:
    """Users and permissions become what is wanted, a second look finds nothing to do, and whoever goes is refused."""
    credentials = Credentials(kind="basic", headers={"Authorization": login("admin", administrator)["authorization"]})
    client = Client(server.url, credentials, Transport(), request_timeout_s=30)
    deadline = Deadline(90)
    api = UsersApi(lambda request: client.send(request, deadline=deadline), caller="admin")
    experiment = api.experiment("credit", create=True)
    assert api.experiment("credit", create=True) == experiment
    assert api.experiment("nothing", create=False) == ""
    server.api("POST", "/api/2.0/mlflow/registered-models/create", {"name": "credit"}, **login("admin", administrator))
    edits, model = Grant("max", EXPERIMENT, experiment), Grant("max", MODEL, "credit")

    def settle(wanted: Wanted, made: set[str], passwords: dict[str, str] = PASSWORDS) -> list[Verb]:
        def calls() -> tuple[Call, ...]:
            found = api.find({name: passwords[name] for name in wanted.admins}, made)
            return plan.calls(wanted, found, made=made, granted=[edits, model], caller="admin")

        done = calls()
        for call in done:
            api.run(call, passwords)
        assert calls() == ()
        return [call.verb for call in done]

    def writes(password: str = PASSWORDS["max"]) -> int:
        body = f'{{"experiment_id": "{experiment}"}}'.encode()
        headers = {**login("max", password), "content-type": "application/json"}
        return server.send("POST", _CREATE_RUN, body=body, headers=headers).status

    first = Wanted(admins={"lin": True, "max": False}, grants={edits: "EDIT", model: "NO_PERMISSIONS"})
    assert settle(first, set()) == [Verb.CREATE, Verb.PROMOTE, Verb.CREATE, Verb.GIVE, Verb.GIVE]
    assert writes() == 200
    assert server.get(_MODEL, **login("max", PASSWORDS["max"])).status == 403
    assert server.get(_MODEL, **login("lin", PASSWORDS["lin"])).status == 200
    second = Wanted(admins={"lin": False, "max": False}, grants={edits: "READ"})
    assert settle(second, {"lin", "max"}) == [Verb.REVOKE, Verb.DEMOTE, Verb.CHANGE]
    assert writes() == 403
    assert server.get(_MODEL, **login("max", PASSWORDS["max"])).status == 200
    changed = {**PASSWORDS, "max": "another password of max's"}
    assert settle(second, {"lin", "max"}, changed) == [Verb.PASSWORD]
    until(lambda: writes() == 401, what="the old password's end", deadline_s=60)
    assert writes(changed["max"]) == 403
    as_lin = Client(server.url, Credentials(headers=login("lin", PASSWORDS["lin"])), Transport(), request_timeout_s=30)
    with pytest.raises(Refused):
        UsersApi(lambda request: as_lin.send(request, deadline=deadline), caller="lin")
    assert settle(Wanted(), {"lin", "max"}) == [Verb.REVOKE, Verb.DELETE, Verb.DELETE]
    until(lambda: writes(changed["max"]) == 401, what="the removed user's end", deadline_s=60)
    assert not any(password in server.log for password in changed.values())
    client.close()
    as_lin.close()


def more_kinds_of_permissions(server: Server, administrator: str) -> None:
    """A scorer, since 3.17.2 also what the gateway has: a user without permissions is refused, and let in once given.

    Users leave with what they had.
    """
    version = parse_version(server.version)
    if version < (3, 10, 1):
        return
    admin = login("admin", administrator)
    client = Client(server.url, Credentials(headers=admin), Transport(), request_timeout_s=30)
    deadline = Deadline(90)
    api = UsersApi(lambda request: client.send(request, deadline=deadline), caller="admin")
    experiment, call = api.experiment("scored", create=True), "/api/3.0/mlflow"
    scorer = {"experiment_id": experiment, "name": "right & wrong", "serialized_scorer": "{}"}
    server.api("POST", f"{call}/scorers/register", scorer, **admin)
    shown = {
        Grant("lin", SCORER, scorer_key(experiment, "right & wrong")): (
            f"{call}/scorers/get?experiment_id={experiment}&name=right+%26+wrong"
        )
    }
    if version >= (3, 17, 2):
        shown |= _of_the_gateway(server, admin, api)

    def settled(wanted: Wanted) -> bool:
        found = api.find({"lin": PASSWORDS["lin"]}, ())
        return not plan.calls(wanted, found, made=(), granted=(), caller="admin")

    closed, opened = (Wanted(admins={"lin": False}, grants=dict.fromkeys(shown, each)) for each in (DENIED, "READ"))
    for wanted, status in ((closed, 403), (opened, 200)):
        for change in plan.calls(wanted, api.find(PASSWORDS, ()), made=(), granted=(), caller="admin"):
            api.run(change, PASSWORDS)
            if change.grant and version < (3, 17, 2):
                # Such a server may still list what was before: what is done already is no error.
                api.run(change, PASSWORDS)
        until(partial(settled, wanted), what="the user as wanted", deadline_s=60)
        asked = {path: server.get(path, **login("lin", PASSWORDS["lin"])).status for path in shown.values()}
        assert asked == dict.fromkeys(shown.values(), status)
    api.remove("lin")
    assert api.find({}, ["lin"]).users == {}
    client.close()


def roles_follow_what_is_wanted(server: Server, administrator: str) -> None:
    """A role opens what its members had not, and closes it; a second look finds nothing to do; it goes with its users.

    MLflow takes each kind that a role of the settings may name. Versions without roles are not asked.
    """
    if parse_version(server.version) < (3, 17, 2):
        return
    client = Client(server.url, Credentials(headers=login("admin", administrator)), Transport(), request_timeout_s=30)
    deadline = Deadline(90)
    send = partial(client.send, deadline=deadline)
    users, api = UsersApi(send, caller="admin"), RolesApi(send)
    assert users.has_roles
    experiment = users.experiment("of a role", create=True)
    users.run(Call(verb=Verb.CREATE, user="max"), PASSWORDS)

    def settle(wanted: Mapping[str, Role]) -> list[RoleVerb]:
        calls = roles.calls(wanted, api.find(), made=["analyst"])
        for call in calls:
            api.run(call)
        found = api.find()
        assert {name: found[name] for name in wanted} == wanted
        assert roles.calls(wanted, found, made=["analyst"]) == ()
        return [call.verb for call in calls]

    def writes() -> int:
        headers = {**login("max", PASSWORDS["max"]), "content-type": "application/json"}
        body = f'{{"experiment_id": "{experiment}"}}'.encode()
        return server.send("POST", _CREATE_RUN, body=body, headers=headers).status

    def of(**permissions: str) -> dict[str, Role]:
        given = {Resource(kind, EVERY): each for kind, each in permissions.items()}
        return {"analyst": Role(members=frozenset({"max"}), permissions=given)}

    assert writes() == 403
    assert settle(of(experiment="EDIT")) == [RoleVerb.CREATE, RoleVerb.GIVE, RoleVerb.ASSIGN]
    assert writes() == 200
    assert settle(of(experiment="NO_PERMISSIONS")) == [RoleVerb.CHANGE]
    assert writes() == 403
    kinds = [kind_of(kind) for kind in (*get_args(ByName), *get_args(AsAWhole))]
    assert set(settle(of(**dict.fromkeys(kinds, "USE")))) == {RoleVerb.CHANGE, RoleVerb.GIVE}
    named = {Resource("experiment", experiment): "EDIT", Resource("registered_model", "not yet"): "MANAGE"}
    settle({"analyst": Role(members=frozenset({"max"}), permissions=named)})
    assert writes() == 200
    assert settle({"analyst": Role(permissions=named)}) == [RoleVerb.UNASSIGN]
    assert writes() == 403
    settle(of(experiment="EDIT"))
    users.remove("max")
    assert api.find()["analyst"].members == frozenset()
    assert settle({}) == [RoleVerb.DELETE]
    assert "analyst" not in api.find()
    client.close()


def _of_the_gateway(server: Server, admin: dict[str, str], api: UsersApi) -> dict[Grant, str]:
    """Make a secret, a model definition and an endpoint; return how a permission names each, and what reads it."""
    call = "/api/3.0/mlflow/gateway"
    secret = {"secret_name": "key", "secret_value": {"api_key": "never-in-the-log-2"}, "provider": "openai"}
    made = server.api("POST", f"{call}/secrets/create", secret, **admin)["secret"]["secret_id"]
    model = {"name": "gpt", "secret_id": made, "provider": "openai", "model_name": "gpt-4o-mini"}
    definition = server.api("POST", f"{call}/model-definitions/create", model, **admin)["model_definition"]
    configs = [{"model_definition_id": definition["model_definition_id"], "linkage_type": "PRIMARY", "weight": 1.0}]
    endpoint = server.api("POST", f"{call}/endpoints/create", {"name": "chat", "model_configs": configs}, **admin)
    ids = {GATEWAY_MODEL: api.gateway(GATEWAY_MODEL, "gpt"), GATEWAY_ENDPOINT: api.gateway(GATEWAY_ENDPOINT, "chat")}
    assert ids[GATEWAY_MODEL] == definition["model_definition_id"]
    assert ids[GATEWAY_ENDPOINT] == endpoint["endpoint"]["endpoint_id"]
    assert api.gateway(GATEWAY_SECRET, "key") == made
    assert api.gateway(GATEWAY_SECRET, "nothing") == ""
    return {
        Grant("lin", GATEWAY_MODEL, ids[GATEWAY_MODEL]): (
            f"{call}/model-definitions/get?model_definition_id={ids[GATEWAY_MODEL]}"
        ),
        Grant("lin", GATEWAY_ENDPOINT, ids[GATEWAY_ENDPOINT]): (
            f"{call}/endpoints/get?endpoint_id={ids[GATEWAY_ENDPOINT]}"
        ),
    }


def weaker_users_are_verified(server: Server, administrator: str, services: Services, database: str) -> None:
    """The check `rights` is green; red if MLflow keeps EDIT for a reader; and it leaves no user either way."""
    file = server.folder / "administrator"
    file.write_text(administrator)
    (server.folder / "name").write_text("admin")
    references = {"username": f"file:{server.folder / 'name'}", "password": f"file:{file}"}

    def found() -> tuple[str, str, str]:
        subject = Subject(url=server.url, credentials=references)
        report = runner.run(subject, VerifyRequest(profile="full", deadline_s=60, only=("rights",)))
        (check,) = (each for each in report.checks if each.name == "rights")
        assert services.postgres.execute(database, "SELECT username FROM users WHERE username LIKE '\\_verify-%'") == []
        return check.result, check.code, check.sentence

    assert found()[:2] == ("pass", "")
    with _readers_may_write(services, database):
        result, code, sentence = found()
    assert (result, code) == ("fail", "rights-open"), sentence
    assert "reader" in sentence
    assert found()[:2] == ("pass", "")


@contextmanager
def _readers_may_write(services: Services, database: str) -> Iterator[None]:
    """Have the database turn each READ that MLflow stores into EDIT."""
    tables = (
        "SELECT table_name FROM information_schema.columns WHERE column_name = 'permission' AND table_schema = 'public'"
    )
    names = [name for (name,) in services.postgres.execute(database, tables)]
    services.postgres.execute(
        database,
        "CREATE FUNCTION widen() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN "
        "IF NEW.permission = 'READ' THEN NEW.permission := 'EDIT'; END IF; RETURN NEW; END $$",
    )
    for name in names:
        trigger = f"CREATE TRIGGER widen BEFORE INSERT OR UPDATE ON {name} FOR EACH ROW EXECUTE FUNCTION widen()"
        services.postgres.execute(database, trigger)
    try:
        yield
    finally:
        services.postgres.execute(database, "DROP FUNCTION widen() CASCADE")
