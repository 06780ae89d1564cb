"""The record of an answered request: a line of JSON, one more if it changed something, and metrics."""

from __future__ import annotations

import json
import os
import secrets
import time
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlflow_backend_server.http.audit import audited

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend_server.http.exchange import Request
    from mlflow_backend_server.http.metrics import Metrics
    from mlflow_backend_server.request_filter import Admission

#: A line up to PIPE_BUF is written whole, whichever worker writes beside it. Escaped, a character of a path may take 12
#: bytes, so the path of a line that comes out longer is cut again.
_WHOLE_BYTES = 4096
_LONGEST_PATH, _SHORT_PATH, _SHORTEST = 1024, 128, 64
#: Of a method: clients may send any word.
_LONGEST_METHOD = 16
_STDOUT = 1


@dataclass(kw_only=True)
class Exchange:
    """One request while it is served.

    `identity` is the user or key, `verified` whether the caller proved it; `about` is what the audit says of a change.
    """

    request: Request
    request_id: str
    started: float = field(default_factory=time.perf_counter)
    status: int = 0
    received: int = 0
    sent: int = 0
    identity: str = ""
    verified: bool = False
    admission: Admission | None = None
    about: dict[str, Any] = field(default_factory=dict)
    native_route: str = ""

    def admitted(self, admission: Admission) -> None:
        """Note that the request goes on to MLflow, and as whom."""
        self.admission, self.identity, self.verified = admission, admission.identity, bool(admission.identity)


#: The request that is served in this context, for what runs inside MLflow's own application.
CURRENT: ContextVar[Exchange | None] = ContextVar("exchange", default=None)


class Recorder:
    """Begins and ends exchanges. A status of 0 means that the client was gone before there was an answer: 499."""

    def __init__(
        self,
        *,
        template: Callable[[str, str, str], str],
        metrics: Metrics | None,
        log: bool,
        write: Callable[[bytes], object] | None = None,
    ) -> None:
        """Take what turns paths into templates, and where to record."""
        self._template, self._metrics, self._log = template, metrics, log
        self._write = write or (lambda line: os.write(_STDOUT, line))

    def begin(self, request: Request) -> Exchange:
        """Note that a request came in; one without an id that is fit for a log gets a new one."""
        if self._metrics is not None:
            self._metrics.in_flight.inc()
        return Exchange(request=request, request_id=request.request_id or secrets.token_hex(16))

    def end(self, exchange: Exchange) -> None:
        """Note that it was answered."""
        seconds = time.perf_counter() - exchange.started
        exchange.status = exchange.status or 499
        route = self._template(exchange.request.method, exchange.request.path, exchange.native_route)
        if self._metrics is not None:
            self._metrics.in_flight.dec()
            self._metrics.observe(exchange.request.method, route, exchange.status, seconds)
        if self._log:
            self._put(log_line(exchange, route, seconds))
        if audited(exchange.request.method, route):
            self._put(audit_line(exchange, route))

    def keys_changed(self, came: list[str], went: list[str]) -> None:
        """Note that the secret holds other API keys than before; each worker sees it."""
        about = {"came": " ".join(came), "went": " ".join(went)}
        line = {"time": _now(), "kind": "audit", "action": "API keys", "about": about, "process": os.getpid()}
        self._put(_whole(line, about={name: names[:_LONGEST_PATH] for name, names in about.items()}))

    def component(self, name: str, state: str, seconds: int, detail: str) -> None:
        """Note that a component does not work, or works again, and for how long it did not."""
        line = {"time": _now(), "kind": "component", "component": name, "state": state, "seconds": seconds}
        self._put(_whole({**line, "detail": detail, "process": os.getpid()}, detail=detail[:_SHORT_PATH]))

    def _put(self, line: bytes) -> None:
        # Whoever reads the log may be gone; requests are served all the same.
        with suppress(OSError):
            self._write(line)


def log_line(exchange: Exchange, route: str, seconds: float) -> bytes:
    """Return one access-log line.

    It has no query, and of the headers the two ids and the client's version alone: both can hold secrets.
    """
    request = exchange.request
    line = {
        "time": _now(),
        "kind": "access",
        "method": request.method[:_LONGEST_METHOD],
        "path": request.raw_path[:_LONGEST_PATH],
        "route": route,
        "status": exchange.status,
        "ms": round(seconds * 1000, 2),
        "received": exchange.received,
        "sent": exchange.sent,
        "client": request.client,
        "mlflow_client": request.mlflow_client,
        "identity": exchange.identity[:_SHORT_PATH],
        "verified": exchange.verified,
        "request_id": exchange.request_id,
        "traceparent": request.traceparent,
        "process": os.getpid(),
    }
    return _whole(line, path=request.raw_path[:_SHORTEST], identity=exchange.identity[:_SHORTEST])


def audit_line(exchange: Exchange, route: str) -> bytes:
    """Return one line of the audit: who asked for which change, about what, and how it ended."""
    request = exchange.request
    line = {
        "time": _now(),
        "kind": "audit",
        "identity": exchange.identity[:_SHORT_PATH],
        "verified": exchange.verified,
        "client": request.client,
        "action": f"{request.method} {route}",
        "path": request.raw_path[:_SHORT_PATH],
        "about": exchange.about,
        "status": exchange.status,
        "request_id": exchange.request_id,
    }
    about = {"name": str(exchange.about.get("name", ""))[:_SHORTEST]}
    return _whole(line, identity=exchange.identity[:_SHORTEST], path=request.raw_path[:_SHORTEST], about=about)


def _whole(line: dict[str, Any], **shorter: Any) -> bytes:
    """Return a line of JSON, with these shorter parts if it could not be written whole."""
    text = json.dumps(line, separators=(",", ":"))
    if len(text) >= _WHOLE_BYTES:
        text = json.dumps({**line, **shorter}, separators=(",", ":"))
    return text.encode() + b"\n"


def _now() -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{int(time.time() * 1000) % 1000:03d}Z"
