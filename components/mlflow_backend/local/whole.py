"""Figures of a local stack as a whole, for the Prometheus beside it: its last verification, and its work on schedules.

No server knows them: they are in files of the stack.
"""

from __future__ import annotations

import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.local import ports, timer
from mlflow_backend.local.state import read_object

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow_backend.local.state import StateDir

_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PASSED = "pass"
_PORT = "figures"


def address(state: StateDir) -> str:
    """Return where the figures are served."""
    return f"{ports.LOOPBACK}:{ports.choose(state, _PORT)}"


def text(state: StateDir) -> str:
    """Return the figures as Prometheus reads them; what is not known has none."""
    return "".join(f"mlflow_backend_{name} {value}\n" for name, value in _figures(state))


def _figures(state: StateDir) -> Iterator[tuple[str, float]]:
    try:
        report = read_object(state.report, "") or {}
    except PlatformFailed:
        report = {}
    if (verdict := report.get("verdict")) is not None:
        yield "verification_passed", int(verdict == _PASSED)
    known = timer.records(state)
    for work in timer.wanted(state):
        if (record := known.get(work.name)) is None:
            continue
        label = f'{{work="{work.name}"}}'
        done = record.ended_at is not None and record.exit_code == 0
        # Of work that was never done, the time since when it is wanted.
        moment = record.ended_at if done and record.ended_at is not None else record.since
        yield f"work_done_time_seconds{label}", moment.timestamp()
        # While it is done again, the last result is not known any more.
        yield f"work_failed{label}", int(bool(record.finding) or (record.ended_at is not None and not done))


@contextmanager
def serving(state: StateDir) -> Iterator[None]:
    """Serve the figures on loopback."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            body = text(state).encode()
            self.send_response(200)
            self.send_header("Content-Type", _TYPE)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Write nothing: Prometheus asks every few seconds."""

    with ThreadingHTTPServer((ports.LOOPBACK, ports.choose(state, _PORT)), Handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, name="figures", daemon=True)
        thread.start()
        try:
            yield
        finally:
            server.shutdown()
            thread.join()
