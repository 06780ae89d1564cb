"""The routes of one MLflow version as `routes.json` has them: who guards each, and which scope a key needs for it.

The table is made from the installed packages by `server/tools/record_routes.py`. What is not in it is an
administrator's alone.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_backend_server.access.keys import Scope

if TYPE_CHECKING:
    from collections.abc import Iterator

TABLE = Path(__file__).resolve().parents[1] / "routes.json"


class RoutesError(Exception):
    """A version's routes are not known. Names the version and the way out."""


class Guard(StrEnum):
    """Who decides about a user of basic auth: nobody (open), a password alone, MLflow, our filter, or nobody may."""

    OPEN = "open"
    USER = "user"
    MLFLOW = "mlflow"
    FILTER = "filter"
    ADMIN = "admin"
    CLOSED = "closed"


@dataclass(frozen=True, kw_only=True)
class Route:
    """What is known of one method of one route; `native` says that FastAPI serves it without Flask."""

    template: str = ""
    native: bool = False
    guard: Guard = Guard.ADMIN
    scope: Scope = Scope.ADMIN


#: For a path that MLflow has no route for: it answers that itself, to whoever has a password or a key.
NOWHERE = Route(guard=Guard.USER, scope=Scope.READ)
NOWHERE_TO_WRITE = Route(guard=Guard.USER, scope=Scope.WRITE)


class RouteTable:
    """The routes of one version."""

    def __init__(self, lines: list[str]) -> None:
        """Read lines of stack, method, guard, scope and template."""
        self._routes: dict[tuple[bool, str, str], Route] = {}
        for line in lines:
            stack, method, guard, scope, template = line.split(" ", 4)
            route = Route(template=template, native=stack == "native", guard=Guard(guard), scope=Scope(scope))
            self._routes[route.native, method, template] = route

    def find(self, method: str, template: str, *, native: bool) -> Route:
        """Return a route that MLflow serves; one that the table does not know is an administrator's."""
        asked = "GET" if method == "HEAD" else method
        return self._routes.get((native, asked, template)) or Route(template=template, native=native)

    def __iter__(self) -> Iterator[tuple[str, Route]]:
        """Give each method and its route."""
        return ((method, route) for (_, method, _), route in self._routes.items())


def table_of(version: str) -> RouteTable:
    """Return the table of an MLflow version. Raises RoutesError for a version that was never recorded."""
    tables = json.loads(TABLE.read_text(encoding="utf-8"))
    if version not in tables:
        raise RoutesError(
            f"The routes of MLflow {version} are not known, so nobody can say who guards them; known are "
            f"{', '.join(tables)}. Record them with server/tools/record_routes.py."
        )
    return RouteTable(tables[version])
