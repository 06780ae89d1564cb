"""Which of MLflow's two applications a request is for, and the template of its route.

Metrics and logs need templates: raw paths would be endless labels. Answers are kept, for asking costs 0.3 ms.
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any

UNMATCHED = "unmatched"
#: The routes of the front, which neither application knows.
OWN = frozenset({"/health/components", "/health/ready", "/health/identity"})
#: Flask spells converters into its templates, `<path:name>`, and FastAPI `{name:path}`; `{name}` here.
_FLASK_PARAMETER = re.compile(r"<(?:[^:<>]+:)?([^<>]+)>")
_FASTAPI_PARAMETER = re.compile(r"\{([^:{}]+)(?::[^{}]+)?\}")
_KEPT = 4096


class Routes:
    """The routes of one worker; `native` are FastAPI's own, without the mounted Flask application."""

    def __init__(self, flask_app: Any, native: list[Any]) -> None:
        """Know both applications' routes."""
        self._adapter, self._native = flask_app.url_map.bind("localhost"), native
        self.flask_rule = lru_cache(maxsize=_KEPT)(self._find_flask_rule)
        self.is_native = lru_cache(maxsize=_KEPT)(self._matches_native)

    def template(self, method: str, path: str, native: str = "") -> str:
        """Return the template of the route; `native` is what FastAPI said where it served the request itself."""
        if native:
            return _FASTAPI_PARAMETER.sub(r"{\1}", native)
        if path in OWN:
            return path
        return self.flask_rule(method, path) or UNMATCHED

    def _find_flask_rule(self, method: str, path: str) -> str | None:
        try:
            rule, _ = self._adapter.match(path, method, return_rule=True)
        except Exception:  # noqa: BLE001 - werkzeug raises its HTTP exceptions: no route, wrong method, redirect
            return None
        return _FLASK_PARAMETER.sub(r"{\1}", rule.rule)

    def _matches_native(self, method: str, path: str) -> bool:
        """Tell whether FastAPI has a route for the path, be it for another method."""
        scope = {"type": "http", "method": method, "path": path, "root_path": "", "headers": []}
        return any(route.matches(scope)[0].value for route in self._native)
