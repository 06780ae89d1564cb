"""Three backends on a real cluster, with real MLflow: two in one namespace, and one of the first's name in another.

Its neighbours cannot reach a backend's parts, and go on while its passwords are rotated and while it is destroyed. The
third takes its secrets from a Secret that a team keeps. The tests stand in the order of their life.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest

from mlflow_backend import new_keys
from mlflow_backend.kubernetes import certificate
from mlflow_backend.kubernetes.naming import CACHE, DATABASE, SERVER
from mlflow_backend.kubernetes.render.stores import DATABASE_NAME, DATABASE_PORT
from tests.rig.kubernetes import addons
from tests.rig.kubernetes.backend import ClusterStack, laid_out, login_of
from tests.rig.kubernetes.load import Load
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rig.kubernetes.cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.full, pytest.mark.timeout(900)]

_TEAMS: Final = "team-mlflow"
_ONE_SERVER: Final[dict[str, dict[str, Any]]] = {"server": {"replicas": 1}, "scaling": {"maxReplicas": 1}}
_CONNECTS: Final = "import socket; socket.create_connection(({host!r}, {port}), 10)"
_LOGS_IN: Final = """
import os, psycopg2, sys
psycopg2.connect(host={host!r}, dbname={name!r}, user={user!r}, password=sys.stdin.read(), sslmode="require")
"""


@dataclass(kw_only=True)
class Neighbours:
    """The backends, deployed one after the other."""

    first: ClusterStack
    second: ClusterStack
    elsewhere: ClusterStack
    pods: dict[str, set[str]] = field(default_factory=dict)

    def all(self) -> dict[str, ClusterStack]:
        """Return them by what each is."""
        return {"first": self.first, "second": self.second, "elsewhere": self.elsewhere}


@pytest.fixture(scope="module")
def neighbours(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Neighbours]:
    """All three, each with runs of its own."""
    folder = tmp_path_factory.mktemp("neighbours")
    with contextlib.ExitStack() as kept:
        first = kept.enter_context(laid_out(folder / "first", cluster, "shared", **_ONE_SERVER))
        second = ClusterStack(folder / "second", cluster, first.namespace, stack="second", **_ONE_SERVER)
        elsewhere = kept.enter_context(laid_out(folder / "elsewhere", cluster, "elsewhere", **_ONE_SERVER))
        give_secret(elsewhere)
        made = Neighbours(first=first, second=second, elsewhere=elsewhere)
        for name, stack in made.all().items():
            stack.must_up()
            stack.write_runs(name, 2)
        yield made


def give_secret(stack: ClusterStack) -> None:
    """Make the Secret that a team keeps for a backend, and name it in the settings."""
    stack.write_settings(kubernetes={"secret": _TEAMS})
    cache = secrets.token_hex(16)
    values = {
        **new_keys.draw(),
        **certificate.draw([stack.naming.host(DATABASE), f"{stack.naming.host(DATABASE)}.cluster.local"]),
        **{name: secrets.token_hex(16) for name in ("flask-secret-key", "admin-password", "database-password")},
        "database-admin-password": secrets.token_hex(16),
        "admin-user": "admin",
        "cache-password": cache,
        "cache-url": f"redis://:{cache}@{stack.naming.host(CACHE)}:6379/0",
    }
    metadata = {"name": _TEAMS}
    document = {"apiVersion": "v1", "kind": "Secret", "metadata": metadata, "stringData": values}
    stack.cluster.apply(document, namespace=stack.namespace)
    stack.given_secrets.add(_TEAMS)


def in_server(stack: ClusterStack, program: str, given: str = "") -> None:
    """Run a program of Python in the server's pod. Raises RuntimeError if it fails."""
    server = f"deployment/{stack.naming.part(SERVER)}"
    stack.cluster.kubectl(
        "exec", "-i", "-n", stack.namespace, server, "--", "python", "-c", program, given=given, deadline_s=60
    )


def test_each_is_verified_and_has_its_own_data(neighbours: Neighbours) -> None:
    """Names, data and revisions of one are not those of another, in one namespace and across two."""
    for name, stack in neighbours.all().items():
        outputs = stack.outputs()
        assert outputs["verification"]["verdict"] == "pass", (name, outputs["verification"]["table"])
        neighbours.pods[name] = stack.until_serving(outputs["release"]["revision"], pods=1)
        assert stack.read_runs(name) == [0.0, 0.1]
        for other in neighbours.all().keys() - {name}:
            found = stack.ask(f"api/2.0/mlflow/experiments/get-by-name?experiment_name={other}")
            assert found.status == 404, (name, other)
    assert not neighbours.pods["first"] & neighbours.pods["second"]


@pytest.mark.parametrize(("part", "port"), [(DATABASE, DATABASE_PORT), (CACHE, 6379), ("", 80)])
def test_no_server_reaches_the_parts_of_another_backend(neighbours: Neighbours, part: str, port: int) -> None:
    """Policies select by the backend's own labels: neither the namespace nor the same name lets anybody in."""
    stacks = neighbours.all()
    for name, stack in stacks.items():
        if part:
            in_server(stack, _CONNECTS.format(host=stack.naming.host(part), port=port))
        for other in stacks.keys() - {name}:
            with pytest.raises(RuntimeError, match=r"refused|timed out"):
                in_server(stack, _CONNECTS.format(host=stacks[other].naming.host(part), port=port))


def test_a_client_is_let_in_by_the_label_of_its_namespace_alone(neighbours: Neighbours, cluster: Cluster) -> None:
    """The same pod is cut off, and served as soon as its namespace has the label that the page names."""
    url = f"http://{neighbours.first.naming.host()}/health"
    with cluster.namespace("visitors") as namespace:
        cluster.apply(*addons.tiny(namespace, cluster.image("addons"), "visitor"))
        cluster.until_ready("deployment/visitor", namespace)
        ask = partial(cluster.kubectl, "exec", "-n", namespace, "deployment/visitor", "--", "/tiny", "get", url)
        with pytest.raises(RuntimeError, match=r"(?i)refused|timed? ?out|deadline exceeded"):
            ask()
        cluster.kubectl("label", "namespace", namespace, "mlflow-backend/client=true")
        until(ask, what="an answer for the labelled namespace", deadline_s=60)


@pytest.mark.parametrize("name", ["first", "elsewhere"])
def test_rotated_passwords_roll_the_pods_without_a_failed_request(neighbours: Neighbours, name: str) -> None:
    """By the documented way: the Secret, its own or a team's, then an update. Old passwords are worth nothing."""
    stack, others = neighbours.all()[name], neighbours.all().keys() - {name}
    old, user, asked = stack.secrets, a_user(stack), "api/2.0/mlflow/experiments/get?experiment_id=0"
    new = {key: secrets.token_hex(16) for key in ("database-password", "admin-password")}
    with Load({each: partial(stack.ask, asked, **user) for each in ("one", "other")}) as load:
        stack.kubectl("patch", "secret", stack.secret, "-p", json.dumps({"stringData": new}))
        stack.must_up()
        after = stack.until_serving(str(stack.outputs()["release"]["revision"]), pods=1)
    assert not after & neighbours.pods[name]
    neighbours.pods[name] = after
    assert load.failed == []
    assert min(load.answered.values()) > 20
    assert stack.ask(asked, **login_of("admin", old["admin-password"])).status == 401
    assert stack.ask(asked).status == 200
    login = _LOGS_IN.format(host=stack.naming.host(DATABASE), name=DATABASE_NAME, user=DATABASE_NAME)
    in_server(stack, login, new["database-password"])
    with pytest.raises(RuntimeError, match="password authentication failed"):
        in_server(stack, login, old["database-password"])
    assert {each: neighbours.all()[each].serving_pods() for each in others} == {
        each: neighbours.pods[each] for each in others
    }


def a_user(stack: ClusterStack) -> dict[str, str]:
    """Make a user who is not the administrator, and return the header by which they log in."""
    password = secrets.token_hex(16)
    stack.call("users/create", {"username": "ann", "password": password})
    return login_of("ann", password)


def test_the_end_of_one_leaves_the_others_serving(neighbours: Neighbours) -> None:
    """Nobody's request fails meanwhile, and what is left in the namespace is the first's."""
    first, second, elsewhere = neighbours.first, neighbours.second, neighbours.elsewhere
    before = {kind: first.found(kind) for kind in ("networkpolicies", "services", "serviceaccounts", "deployments")}
    asked = "api/2.0/mlflow/experiments/get?experiment_id=0"
    with Load({"first": partial(first.ask, asked), "elsewhere": partial(elsewhere.ask, asked)}) as load:
        gone = second.destroy()
    assert gone.ok, gone.text
    assert load.failed == []
    assert load.answered.keys() == {"first", "elsewhere"}
    for kind, names in before.items():
        assert first.found(kind) == {each for each in names if not each.startswith(second.naming.prefix)}, kind
    for name, stack in (("first", first), ("elsewhere", elsewhere)):
        assert stack.serving_pods() == neighbours.pods[name]
        assert stack.read_runs(name) == [0.0, 0.1]
