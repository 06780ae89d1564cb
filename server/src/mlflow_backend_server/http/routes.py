"""The choice between MLflow's two applications for a request, and the template of its route.

Metrics and logs need templates: raw paths would be endless labels. Answers are kept, because asking costs 0.3 ms.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, TypeVar

from mlflow_backend_server.access.routes import NOWHERE, NOWHERE_TO_WRITE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlflow_backend_server.access.routes import Route, RouteTable

_T = TypeVar("_T")
UNMATCHED = "unmatched"
#: The routes of the request filter, which neither application knows.
OWN = frozenset({"/health/components", "/health/ready", "/health/identity"})
HEALTH_ROUTES = OWN | {"/health"}
#: Flask spells converters into its templates, `<path:name>`, and FastAPI `{name:path}`; `{name}` here.
_FLASK_PARAMETER = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")
_FASTAPI_PARAMETER = re.compile(r"\{([^:{}]+)(?::[^{}]+)?\}")
_KEPT = 4096
#: No answer is kept for a longer path: whoever asks for thousands of them would fill the memory.
_LONGEST_KEPT = 512
_READING = frozenset({"GET", "HEAD"})


class Routes:
    """The routes of one worker; `native` are FastAPI's own, without the mounted Flask application."""

    def __init__(self, flask_app: Any, native: list[Any], table: RouteTable) -> None:
        """Know both applications' routes, and the table of what is known of them."""
        self._adapter, self._native = flask_app.url_map.bind("localhost"), native
        self._table = table
        self.flask_rule = _kept(self._find_flask_rule)
        self.is_native = _kept(self._matches_native)
        self.known = _kept(self._find_known)

    def template(self, method: str, path: str, native: str = "") -> str:
        """Return the template of the route; `native` is what FastAPI said if it served the request itself."""
        if native:
            return _FASTAPI_PARAMETER.sub(r"{\1}", native)
        if path in OWN:
            return path
        return self.flask_rule(method, path) or UNMATCHED

    def _find_flask_rule(self, method: str, path: str) -> str | None:
        found = self._flask_template(method, path)
        return None if found is None else _FLASK_PARAMETER.sub(r"{\1}", found)

    def _flask_template(self, method: str, path: str) -> str | None:
        try:
            rule, _ = self._adapter.match(path, method, return_rule=True)
        except Exception:  # noqa: BLE001 - werkzeug raises its HTTP exceptions: no route, wrong method, redirect
            return None
        return str(rule.rule)

    def _find_known(self, method: str, path: str) -> Route:
        """Return what the table says of the route that serves a request: FastAPI's own go first."""
        for template, methods in _matching(self._native, path):
            if method in methods:
                return self._table.find(method, template, native=True)
        rule = self._flask_template(method, path)
        if method == "OPTIONS":
            return NOWHERE
        if rule is None:
            return NOWHERE if method in _READING else NOWHERE_TO_WRITE
        return self._table.find(method, rule, native=False)

    def _matches_native(self, _method: str, path: str) -> bool:
        """Return whether FastAPI has a route for the path, be it for another method."""
        return any(True for _ in _matching(self._native, path))


def _kept(find: Callable[[str, str], _T]) -> Callable[[str, str], _T]:
    """Return `find`, which gets a method and a path, with its latest answers kept."""
    kept = lru_cache(maxsize=_KEPT)(find)
    return lambda method, path: (kept if len(method) + len(path) <= _LONGEST_KEPT else find)(method, path)


def _matching(routes: list[Any], path: str) -> Iterator[tuple[str, frozenset[str]]]:
    """Give template and methods of each of FastAPI's routes that has the path, those of included routers too."""
    for route in routes:
        if hasattr(route, "effective_candidates"):
            yield from _matching(route.effective_candidates(), path)
            continue
        pattern = getattr(route, "path_regex", None)
        if pattern is not None and pattern.match(path):
            yield route.path, frozenset(getattr(route, "methods", None) or ())
