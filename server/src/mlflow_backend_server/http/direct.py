"""Flask's routes served by Flask at once, under uvicorn, without the way through FastAPI.

MLflow mounts its Flask application below FastAPI, so that every call of the REST API passes six middlewares, two of
them with a task group each, and a hundred route patterns: a third of its CPU time (measured on 3.17.2). What those
middlewares do (Host and CORS checks, workspaces) MLflow also has for Flask alone, if gunicorn serves; that is used
here. Requests that FastAPI has a route for, and all that Flask has none for, go the old way.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING, Any

from mlflow_backend_server.http.bridge import Bridge

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, MutableMapping

    from mlflow_backend_server.http.routes import Routes

    Message = MutableMapping[str, Any]
    Receive = Callable[[], Awaitable[Message]]
    Send = Callable[[Message], Awaitable[None]]

_ARTIFACTS = "/mlflow-artifacts/artifacts/"
_METHODS = frozenset({"GET", "POST", "PUT", "PATCH", "DELETE"})
#: What FastAPI has in front of its routes, in every release since 3.3, and Flask has too (or does not need: timing of
#: the gateway, permissions of FastAPI's own routes). With anything else in front, nothing is taken around it.
_UNDERSTOOD = frozenset({
    "CORSBlockingMiddleware", "CORSMiddleware", "HostValidationMiddleware", "SecurityHeadersMiddleware",
    "fastapi_permission_middleware", "gateway_timing_middleware", "workspace_context_middleware",
})  # fmt: skip


def can_go_direct(fastapi_app: Any) -> bool:
    """Return whether everything in front of FastAPI's routes is understood."""
    found = {_name(middleware) for middleware in fastapi_app.user_middleware}
    return found <= _UNDERSTOOD


def secure(flask_app: Any) -> None:
    """Give the Flask application MLflow's own Host and CORS checks, first of all its hooks, if MLflow has them."""
    if importlib.util.find_spec("mlflow.server.security") is None:
        return
    hooks = flask_app.before_request_funcs.setdefault(None, [])
    before = len(hooks)
    importlib.import_module("mlflow.server.security").init_security_middleware(flask_app)
    hooks[:] = [*hooks[before:], *hooks[:before]]


def _name(middleware: Any) -> str:
    dispatch = middleware.kwargs.get("dispatch")
    return str(getattr(dispatch or middleware.cls, "__name__", ""))


class Direct:
    """An ASGI application that gives each request to Flask or to FastAPI."""

    def __init__(self, flask_app: Any, fastapi_app: Any, routes: Routes) -> None:
        """Stand before both."""
        self._flask, self._fastapi, self._routes = Bridge(flask_app), fastapi_app, routes

    async def __call__(self, scope: MutableMapping[str, Any], receive: Receive, send: Send) -> None:
        """Serve one connection scope."""
        if scope["type"] == "http" and self._is_for_flask(scope["method"], scope["path"]):
            await self._flask(scope, receive, send)
        else:
            await self._fastapi(scope, receive, send)

    def _is_for_flask(self, method: str, path: str) -> bool:
        if method not in _METHODS or self._routes.flask_rule(method, path) is None:
            return False
        # MLflow's native download leaves its copy behind if the client leaves, and knows no ranges.
        return (method == "GET" and _ARTIFACTS in path) or not self._routes.is_native(method, path)
