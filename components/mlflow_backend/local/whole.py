"""Figures of a local stack as a whole, for the Prometheus beside it: verification, work on schedules, disk, artifacts.

No server knows them: they are in files of the stack.
"""

from __future__ import annotations

import shutil
import threading
import time
from contextlib import contextmanager
from functools import lru_cache
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.local import ports, timer
from mlflow_backend.local.backups import LocalArtifacts
from mlflow_backend.local.state import read_object

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow_backend.local.state import StateDir

_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_PASSED = "pass"
_MEASURED_S = 300
_PORT = "figures"


def address(state: StateDir) -> str:
    """Return where the figures are served."""
    return f"{ports.LOOPBACK}:{ports.choose(state, _PORT)}"


def text(state: StateDir) -> str:
    """Return the figures as Prometheus reads them; what is not known has none."""
    return "".join(f"mlflow_backend_{name} {value}\n" for name, value in (*_figures(state), *_space(state)))


def _space(state: StateDir) -> Iterator[tuple[str, float]]:
    if not state.store.exists():
        return
    _, used, free = shutil.disk_usage(state.store)
    yield 'disk_bytes{state="used"}', used
    yield 'disk_bytes{state="free"}', free
    yield "artifact_bytes", _artifact_bytes(state, round(time.monotonic() / _MEASURED_S))


@lru_cache(maxsize=1)
def _artifact_bytes(state: StateDir, _period: int) -> int:
    """Return what all artifacts take: each file is looked at, so that it is done once a period."""
    return sum(each.size_bytes for each in LocalArtifacts(state).listing())


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
