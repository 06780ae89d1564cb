"""Writes that a browser sends for another site, on the routes that MLflow's own check of origins leaves out. Pure.

MLflow looks at `/api` and `/ajax-api` alone. A form or script of any site can send `text/plain` to the gateway and to
the other native routes, with the password that the browser remembers.
"""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlflow_backend_server.http.exchange import Request

_ALLOWED, _OFF = "MLFLOW_SERVER_CORS_ALLOWED_ORIGINS", "MLFLOW_SERVER_DISABLE_SECURITY_MIDDLEWARE"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})
_CHECKED_BY_MLFLOW = ("/api/", "/ajax-api/")
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})


def foreign_by(environment: Mapping[str, str]) -> Callable[[Request], bool]:
    """Return the test of whether a request is another site's, by MLflow's own settings of allowed origins."""
    allowed = tuple(each.strip() for each in environment.get(_ALLOWED, "").split(",") if each.strip())
    off = environment.get(_OFF, "").lower() == "true"

    def foreign(request: Request) -> bool:
        origin = request.headers.get("origin", "")
        if off or not origin or request.method in _READING or request.path.startswith(_CHECKED_BY_MLFLOW):
            return False
        return not _is_ours(origin, request.headers.get("host", ""), allowed)

    return foreign


def _is_ours(origin: str, host: str, allowed: tuple[str, ...]) -> bool:
    try:
        parts = urlsplit(origin)
        name = parts.hostname or ""
    except ValueError:
        return False
    return (
        name in _LOOPBACK or (bool(name) and parts.netloc == host) or any(fnmatchcase(origin, one) for one in allowed)
    )
