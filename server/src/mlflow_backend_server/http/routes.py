"""From a request's path to the template of its route, for metrics and logs: raw paths would be endless labels."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

UNMATCHED = "unmatched"
#: The routes of the front, which neither application knows.
OWN = frozenset({"/health/components", "/health/ready"})
#: Flask spells converters into its templates, `<path:name>`, and FastAPI `{name:path}`; `{name}` here.
_FLASK_PARAMETER = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")
_FASTAPI_PARAMETER = re.compile(r"\{([^:{}]+)(?::[^{}]+)?\}")
_KEPT = 4096


def templates(flask_app: Any, fastapi_routes: list[Any]) -> Callable[[str, str], str]:
    """Return a function from method and path to a route's template, UNMATCHED for a path of no route."""
    adapter = flask_app.url_map.bind("localhost")
    native = [(route.path_regex, route.path) for route in _leaves(fastapi_routes) if route.path != ""]

    @lru_cache(maxsize=_KEPT)
    def template(method: str, path: str) -> str:
        if path in OWN:
            return path
        for pattern, text in native:
            if pattern.match(path):
                return _FASTAPI_PARAMETER.sub(r"{\1}", text)
        try:
            rule, _ = adapter.match(path, method, return_rule=True)
        except Exception:  # noqa: BLE001 - werkzeug raises its HTTP exceptions: no route, wrong method, redirect
            return UNMATCHED
        return _FLASK_PARAMETER.sub(r"{\1}", rule.rule)

    return template


def _leaves(routes: list[Any]) -> list[Any]:
    """Return the routes that serve something themselves, with the application mounted at the root left out."""
    return [route for route in routes if hasattr(route, "path_regex") and hasattr(route, "endpoint")]
