"""Lines about components that do not work: which worker writes them, when, and whether clouds' alarms count them."""

from __future__ import annotations

import fcntl
import json
import os
import re
from typing import TYPE_CHECKING, Any

import pytest
from mlflow_backend_server.degraded import EACH_S, DegradedLog
from mlflow_backend_server.health.board import Board
from mlflow_backend_server.health.states import Away, Component
from mlflow_backend_server.http.record import Recorder

from mlflow_backend.aws.render import alarms
from mlflow_backend.gcp.render import alerts
from mlflow_backend.monitoring import COMPONENT_DEGRADED_S
from tests.components.cloudrun.stacks import NAMING, changed

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

SENTENCE = "Redis cannot be reached."


class Backend:
    """A server with one component, the lines of its log, and a clock that moves on request."""

    def __init__(self, folder: Path) -> None:
        """Begin with what works."""
        self.now, self.works, self.folder = 0.0, True, folder
        self.lines: list[dict[str, Any]] = []

    def worker(self) -> DegradedLog:
        """Return what one worker process has."""
        board = Board((Component(name="redis", ask=self._ask),), clock=lambda: self.now)
        recorder = Recorder(template=lambda *_: "", metrics=None, log=False, write=self._write)
        return DegradedLog(board, self.folder, recorder.component, clock=lambda: self.now)

    def after(self, worker: DegradedLog, seconds: float) -> list[dict[str, Any]]:
        """Let the worker ask after some seconds, and return what it wrote."""
        self.lines.clear()
        self.now += seconds
        worker.round()
        return [{name: line[name] for name in ("component", "state", "seconds", "detail")} for line in self.lines]

    def _ask(self) -> str:
        if self.works:
            return "Redis answers."
        raise Away(SENTENCE)

    def _write(self, line: bytes) -> None:
        self.lines.append(json.loads(line))


@pytest.fixture
def backend(tmp_path: Path) -> Backend:
    """A healthy one."""
    return Backend(tmp_path)


def test_a_component_is_in_the_log_for_as_long_as_it_does_not_work(backend: Backend) -> None:
    """With the time since it was first seen, once more when it works again, and not otherwise."""
    worker = backend.worker()
    line = {"component": "redis", "state": "failed", "detail": SENTENCE}
    assert backend.after(worker, EACH_S) == []
    backend.works = False
    assert backend.after(worker, EACH_S) == [{**line, "seconds": 0}]
    assert backend.after(worker, EACH_S) == [{**line, "seconds": EACH_S}]
    backend.works = True
    assert backend.after(worker, EACH_S) == [
        {"component": "redis", "state": "ok", "seconds": 2 * EACH_S, "detail": "Redis answers."}
    ]
    assert backend.after(worker, EACH_S) == []
    backend.works = False
    assert backend.after(worker, EACH_S) == [{**line, "seconds": 0}]


def test_one_worker_writes_and_another_after_it(backend: Backend) -> None:
    """As many lines as workers would say nothing more; the system takes the lock of a worker that has ended."""
    backend.works = False
    ended = os.open(backend.folder, os.O_RDONLY)
    fcntl.flock(ended, fcntl.LOCK_EX)
    first, second = backend.worker(), backend.worker()
    assert backend.after(first, EACH_S) == []
    os.close(ended)
    assert len(backend.after(first, EACH_S)) == 1
    assert backend.after(second, EACH_S) == []


@pytest.mark.parametrize("counted", ["aws", "gcp"])
def test_the_alarms_of_clouds_count_what_has_not_worked_for_five_minutes(backend: Backend, counted: str) -> None:
    """By the lines that the server writes: not at once, and not when it works again."""
    counts = {"aws": by_metric_filter, "gcp": by_cloud_logging}[counted]
    worker = backend.worker()
    backend.works = False
    verdicts = []
    for seconds in (EACH_S, COMPONENT_DEGRADED_S - 1, 1):
        backend.after(worker, seconds)
        verdicts.append(counts(backend.lines[0]))
    backend.works = True
    backend.after(worker, EACH_S)
    assert backend.lines[0]["seconds"] > COMPONENT_DEGRADED_S
    assert [*verdicts, counts(backend.lines[0])] == [False, False, True, False]


def by_metric_filter(line: dict[str, Any]) -> bool:
    """Return whether CloudWatch would count a line: a part of its language, all of which the pattern is."""
    pattern = alarms.COUNTED["component-degraded"].pattern
    terms = re.fullmatch(r"\{ (\(.+\)) \}", pattern)
    assert terms is not None
    return all_of(terms[1].split(" && "), r'\(\$\.(\w+) (=|>=) ("?)(\w+)\3\)', line)


def by_cloud_logging(line: dict[str, Any]) -> bool:
    """Return whether Cloud Logging would find a line of this service, as above."""
    (found,) = (
        each for each in alerts.alerts(changed("basic", {}), NAMING, least=1) if each.name == "component-degraded"
    )
    terms = [term for term in found.filter.split(" AND ") if not term.startswith("resource.")]
    return all_of(terms, r'jsonPayload\.(\w+)(=|>=)("?)(\w+)\3', line)


def all_of(terms: list[str], syntax: str, line: dict[str, Any]) -> bool:
    """Return whether all terms hold; one in another syntax is refused."""
    compares: dict[str, Callable[[Any, str], bool]] = {
        "=": lambda value, wanted: str(value) == wanted,
        ">=": lambda value, wanted: float(value) >= float(wanted),
    }
    parsed = [re.fullmatch(syntax, term) for term in terms]
    assert None not in parsed, terms
    return all(compares[term[2]](line[term[1]], term[4]) for term in parsed if term is not None)
