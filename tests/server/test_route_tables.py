"""What is decided by a route alone: who guards it, what the audit says of a request, and what refuses a body."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
from mlflow_backend_server.access.routes import Guard, RoutesError, RouteTable, Scope, table_of
from mlflow_backend_server.http import audit, exchange


def test_a_route_that_the_table_does_not_know_is_an_administrators() -> None:
    """A route of tomorrow's MLflow is closed until somebody has looked at it."""
    table = RouteTable(["flask GET user read /known"])
    known = table.find("HEAD", "/known", native=False)
    assert (known.guard, known.scope) == (Guard("user"), Scope.READ)
    assert table.find("POST", "/known", native=False).scope is Scope.ADMIN
    assert table.find("GET", "/known", native=True).scope is Scope.ADMIN
    assert [(method, route.template) for method, route in table] == [("GET", "/known")]


def test_a_version_that_was_never_recorded_is_refused() -> None:
    """Nobody can say who guards its routes."""
    assert len(list(table_of("3.17.2"))) > 100
    with pytest.raises(RoutesError, match=r"9\.9\.9"):
        table_of("9.9.9")


def request(**view: str) -> Any:
    """A request as Flask has it, without a body of its own."""
    empty = SimpleNamespace(to_dict=dict)
    return SimpleNamespace(args=empty, form=empty, view_args=view)


def test_an_audit_line_says_what_a_request_is_about() -> None:
    """Names in either spelling, cut where they are long, and never the value of a secret."""
    users = "/api/2.0/mlflow/users/create"
    said = audit.about("POST", users, {"username": "ada" * 100, "password": "s3cret", "isAdmin": True}, request())
    assert said["username"] == ("ada" * 100)[:200]
    assert "s3cret" not in str(said)
    assert audit.about("GET", users, {"username": "ada"}, request()) == {}
    tags = "/api/2.0/mlflow/registered-models/set-tag"
    assert audit.about("POST", tags, {"name": "m", "key": "k", "value": "v"}, request())["value"] == "v"
    hooks = "/api/2.0/mlflow/webhooks"
    assert "value" not in audit.about("POST", hooks, {"name": "w", "value": "v"}, request())


@pytest.mark.parametrize(("length", "budget", "status"), [(11, 10, 413), (5, 10, 503), (11, 0, 503)])
def test_a_body_without_room_is_refused_for_now_or_for_ever(length: int, budget: int, status: int) -> None:
    """A client that tries again later must not learn that it never can, and the other way round."""
    assert exchange.no_space(length, budget=budget).status == status
