"""What is kept of a request once it was answered: one line of JSON, and metrics where they are wanted."""

from __future__ import annotations

import json
import os
import secrets
import time
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend_server.http.exchange import Asked
    from mlflow_backend_server.http.metrics import Metrics

#: A line up to PIPE_BUF is written whole, whichever worker writes beside it. Escaped, a character of a path may take 12
#: bytes, so the path of a line that comes out longer is cut again.
_WHOLE_BYTES = 4096
_LONGEST_PATH, _SHORT_PATH = 1024, 128
_STDOUT = 1


@dataclass(kw_only=True)
class Exchange:
    """One request while it is served."""

    asked: Asked
    request_id: str
    started: float = field(default_factory=time.perf_counter)
    status: int = 0
    received: int = 0
    sent: int = 0
    identity: str = ""
    native_route: str = ""


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

    def begin(self, asked: Asked) -> Exchange:
        """Note that a request came in; one without an id that is fit for a log gets a new one."""
        if self._metrics is not None:
            self._metrics.in_flight.inc()
        return Exchange(asked=asked, request_id=asked.request_id or secrets.token_hex(16))

    def end(self, exchange: Exchange) -> None:
        """Note that it was answered."""
        seconds = time.perf_counter() - exchange.started
        exchange.status = exchange.status or 499
        if self._metrics is None and not self._log:
            return
        route = self._template(exchange.asked.method, exchange.asked.raw_path, exchange.native_route)
        if self._metrics is not None:
            self._metrics.in_flight.dec()
            self._metrics.observe(exchange.asked.method, route, exchange.status, seconds)
        if self._log:
            # Whoever reads the log may be gone; requests are served all the same.
            with suppress(OSError):
                self._write(log_line(exchange, route, seconds))


def log_line(exchange: Exchange, route: str, seconds: float) -> bytes:
    """Return one access-log line. It has no query and no header but the two ids: both can hold secrets."""
    asked = exchange.asked
    line = {
        "time": time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime()) + f".{int(time.time() * 1000) % 1000:03d}Z",
        "kind": "access",
        "method": asked.method,
        "path": asked.raw_path[:_LONGEST_PATH],
        "route": route,
        "status": exchange.status,
        "ms": round(seconds * 1000, 2),
        "received": exchange.received,
        "sent": exchange.sent,
        "client": asked.client,
        "identity": exchange.identity,
        "request_id": exchange.request_id,
        "traceparent": asked.traceparent,
        "process": os.getpid(),
    }
    text = json.dumps(line, separators=(",", ":"))
    if len(text) >= _WHOLE_BYTES:
        text = json.dumps({**line, "path": asked.raw_path[:_SHORT_PATH]}, separators=(",", ":"))
    return text.encode() + b"\n"
