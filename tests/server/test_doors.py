"""Every route of every supported MLflow version, asked by who must not come in: no version leaves one open."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
from mlflow_backend_server.access.keys import Scope
from mlflow_backend_server.access.routes import Guard, RoutesError, table_of
from mlflow_backend_server.access.scopes import allows

from mlflow_backend.environments import locked_versions
from tests.matrices import rows
from tests.server.environments import SOURCE, python
from tests.server.logins import FORMS
from tests.server.services import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

DRIVER = PROJECT / "tests" / "server" / "door_driver.py"
RECORDER = PROJECT / "server" / "tools" / "record_routes.py"
VERSIONS = locked_versions()
# The newest version, and the newest whose native routes MLflow leaves to every user.
BY_SERVERS = rows(VERSIONS, shown=("3.4.0", VERSIONS[-1]))
_DEADLINE_S = 400


@pytest.fixture(scope="module", params=BY_SERVERS)
def asked(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each caller got from each route of one version."""
    version = request.param
    folder: Path = tmp_path_factory.mktemp("doors")
    environment = {
        **{key: value for key, value in os.environ.items() if not key.startswith(("MLFLOW_", "_MLFLOW"))},
        "PYTHONPATH": str(SOURCE),
        "DOOR_FORMS": json.dumps(FORMS),
    }
    done = subprocess.run(
        [python(version), "-W", "ignore", DRIVER, folder, version],
        env=environment,
        capture_output=True,
        text=True,
        timeout=_DEADLINE_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith('{"caller"')]


@pytest.mark.slow
def test_who_is_not_known_gets_the_same_401_everywhere(asked: list[dict[str, Any]]) -> None:
    """Without a login, with a wrong one, and with whatever else stands in the header."""
    strangers = [row for row in asked if row["caller"] != "bob" and row["guard"] != Guard.OPEN]
    assert len(strangers) > 4 * 100
    wrong = [row for row in strangers if (row["status"], row["asks"]) != (401, 'Basic realm="mlflow"')]
    assert not wrong, wrong[:5]
    assert len({row["text"] for row in strangers}) == 1


@pytest.mark.slow
def test_a_user_without_permissions_reaches_nothing_that_is_hidden(asked: list[dict[str, Any]]) -> None:
    """Every route is closed: our request filter or MLflow refuses, or the list leaves it out."""
    rows = [row for row in asked if row["caller"] == "bob"]
    assert not [row for row in rows if row["shows"]]
    assert not [row for row in rows if row["status"] == 500]
    assert {row["status"] for row in rows if row["guard"] == Guard.ADMIN} <= {403}
    assert {row["status"] for row in rows if row["guard"] == Guard.CLOSED} <= {501}
    request_filter = [
        row for row in rows if row["guard"] == Guard.FILTER and not row["template"].endswith("model-versions/search")
    ]
    assert {row["status"] for row in request_filter} <= {403}
    changed = [
        row
        for row in rows
        if row["guard"] == Guard.MLFLOW and row["method"] != "GET" and row["status"] < 300 and not _harmless(row)
    ]
    assert not changed, changed


def _harmless(row: dict[str, Any]) -> bool:
    """Return whether a POST lists, without what its reader may not see, or makes what is the caller's own."""
    makes = ("/experiments/create", "/registered-models/create")
    return row["template"].endswith(("/search", "/graphql", "/gateway-proxy", *makes))


@pytest.mark.slow
def test_the_request_filter_finds_each_route_in_the_table(asked: list[dict[str, Any]]) -> None:
    """The row of the route that serves a path decides about it."""
    lost = [row for row in asked if row["caller"] == "anonymous" and not row["found"]]
    assert not lost, lost[:5]


@pytest.mark.slow
@pytest.mark.parametrize("version", BY_SERVERS)
def test_the_table_is_what_the_installed_package_has(version: str) -> None:
    """A lock that moves, or a rule of the recorder that changes, must be recorded again."""
    done = subprocess.run(
        [python(version), "-W", "ignore", RECORDER], capture_output=True, text=True, timeout=_DEADLINE_S, check=False
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout == ""


def test_a_version_that_was_never_recorded_is_refused() -> None:
    """The message has its name, those that are known, and the way out."""
    with pytest.raises(RoutesError, match=r"9\.9\.9.*3\.17\.2.*record_routes"):
        table_of("9.9.9")


@pytest.mark.parametrize("version", VERSIONS)
def test_scopes_of_keys_hold_on_every_route(version: str) -> None:
    """Read keys may POST what only reads; credentials of others and permissions are an administrator's."""
    routes = [(method, route) for method, route in table_of(version)]
    written = [(method, route) for method, route in routes if not allows(Scope.READ, route.scope)]
    assert all(method != "GET" for method, route in written if route.scope is Scope.WRITE)
    for method, route in routes:
        assert allows(Scope.ADMIN, route.scope)
        assert allows(Scope.WRITE, route.scope) is (route.scope is not Scope.ADMIN), (method, route)
    by_path = {(method, route.template): route.scope for method, route in routes}
    expected = {
        ("POST", "/api/2.0/mlflow/runs/search"): Scope.READ,
        ("POST", "/ajax-api/3.0/jobs/search"): Scope.READ,
        ("POST", "/graphql"): Scope.READ,
        ("POST", "/api/3.0/mlflow/traces/calculate-filter-correlation"): Scope.READ,
        ("POST", "/ajax-api/2.0/mlflow/experiments/search-datasets"): Scope.READ,
        ("POST", "/api/2.0/mlflow/runs/create"): Scope.WRITE,
        ("POST", "/v1/traces"): Scope.WRITE,
        ("POST", "/api/2.0/mlflow/users/create"): Scope.ADMIN,
        ("POST", "/api/2.0/mlflow/webhooks"): Scope.ADMIN,
        ("POST", "/api/3.0/mlflow/gateway/secrets/create"): Scope.ADMIN,
        ("GET", "/api/3.0/mlflow/gateway/secrets/list"): Scope.ADMIN,
    }
    assert {key: by_path[key] for key in expected if key in by_path} == {
        key: value for key, value in expected.items() if key in by_path
    }
