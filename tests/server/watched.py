"""A server and figures of its whole stack, under a Prometheus of Debian's with this project's rules."""

from __future__ import annotations

import json
import os
import re
import signal
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlflow_backend.codec import to_document
from mlflow_backend.local import timed, whole
from mlflow_backend.local.state import StateDir
from mlflow_backend.monitoring import rules
from mlflow_backend.monitoring.scraping import RULES, TARGETS, configuration, own_labels, targets
from mlflow_backend.schedules import WorkRecord
from tests.server.servers import Server, pool, serving
from tests.server.services import Process, Services, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

STACK = "watched"
WORKERS = 2
WORKS = ("verification", "backup", "drill")
TEMPORARY_BYTES = 256 << 20
_PATIENCE_S = {5: 15, 15: 60}
"""For minutes of a window: a server starts within the longer one."""


def hurried(document: dict[str, Any]) -> dict[str, Any]:
    """Return the rules with seconds for minutes, and without patience: what they say of the figures is the same."""
    for rule in document["groups"][0]["rules"]:
        expression = re.sub(r"\[(\d+)m\]", lambda found: f"[{_PATIENCE_S[int(found[1])]}s]", rule["expr"])
        rule |= {"for": "0s", "expr": expression}
    return document


class Watched:
    """A server, its stack's files, and the Prometheus that watches both."""

    def __init__(self, server: Server, state: StateDir, url: str) -> None:
        """Name all three."""
        self.server, self.state, self._url = server, state, url

    def ask(self, path: str, **query: str) -> Any:
        """Return what Prometheus answers."""
        return json.loads(pool().request("GET", f"{self._url}/api/v1/{path}", fields=query).data)["data"]

    def firing(self) -> dict[str, dict[str, str]]:
        """Return the alerts that fire, by name, with their labels."""
        return {
            each["labels"]["alertname"].removeprefix("Mlflow"): each["labels"]
            for each in self.ask("alerts")["alerts"]
            if each["state"] == "firing"
        }

    def value(self, query: str) -> float | None:
        """Return the value of a query with one series."""
        found = self.ask("query", query=query)["result"]
        return float(found[0]["value"][1]) if found else None

    def end_worker(self) -> None:
        """Kill the worker that answered the last request which the log knows."""
        assert self.server.get("/api/2.0/mlflow/experiments/search?max_results=1").status == 200
        line = [each for each in self.server.log.splitlines() if '"kind":"access"' in each][-1]
        os.kill(json.loads(line)["process"], signal.SIGKILL)

    def write_record(self, work: str, **changes: Any) -> None:
        """Write what the timer keeps of a work on a schedule."""
        document = json.loads(self.state.timer.read_text())
        now = datetime.now(UTC)
        done = replace(WorkRecord(since=now, started_at=now, ended_at=now, exit_code=0), **changes)
        self.state.timer.write_text(json.dumps(document | {work: to_document(done)}))

    def write_verdict(self, verdict: str) -> None:
        """Write what a verification keeps of its verdict."""
        self.state.report.write_text(json.dumps({"verdict": verdict}))


@contextmanager
def watching(services: Services, package: Path, folder: Path, *, hurry: bool) -> Iterator[Watched]:
    """Run a healthy server of two workers and a Prometheus, both its rules and its questions hurried if `hurry`."""
    port = str(free_port())
    own = {"MLFLOW_BACKEND_METRICS_PORT": port, "MLFLOW_BACKEND_TEMPORARY_BYTES": str(TEMPORARY_BYTES)}
    described = {"version": "3.17.2", "package": package, "folder": folder / "server", "workers": WORKERS}
    document = rules(own_labels(STACK))
    with (
        serving(services, **described, settings=own) as server,
        _stack(folder) as state,
        _prometheus(
            folder / "prometheus",
            rules=hurried(document) if hurry else document,
            interval_s=1 if hurry else 5,
            server=f"127.0.0.1:{port}",
            stack=whole.address(state),
        ) as url,
    ):
        watched = Watched(server, state, url)
        watched.write_verdict("pass")
        for work in WORKS:
            watched.write_record(work)
        yield watched


@contextmanager
def _stack(folder: Path) -> Iterator[StateDir]:
    """Serve what no server knows, of a stack whose verification and scheduled work went well."""
    state = StateDir(folder / STACK)
    works = [timed.Work(name=name, schedule="0 2 * * *", commands=()) for name in WORKS]
    program = timed.program(state, folder, map(to_document, works))
    for path in (state.report, state.timer, state.programs / "any"):
        path.parent.mkdir(parents=True, exist_ok=True)
    (state.programs / f"{program.name}.json").write_text(json.dumps(to_document(program)))
    state.timer.write_text("{}")
    state.store.mkdir()
    with whole.serving(state):
        yield state


@contextmanager
def _prometheus(folder: Path, *, rules: dict[str, Any], interval_s: int, server: str, stack: str) -> Iterator[str]:
    """Run a Prometheus; yields its address."""
    folder.mkdir()
    (folder / RULES).write_text(json.dumps(rules))
    (folder / TARGETS).write_text(json.dumps(targets(STACK, [server], whole=[stack])))
    (folder / "prometheus.json").write_text(json.dumps(configuration(interval_s=interval_s)))
    listens = f"127.0.0.1:{free_port()}"
    process = Process(
        arguments=[
            "prometheus",
            f"--config.file={folder / 'prometheus.json'}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={listens}",
        ],
        log=folder / "log",
    )
    process.start()
    try:
        yield f"http://{listens}"
    finally:
        process.stop(signal.SIGTERM)
