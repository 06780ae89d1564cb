"""Verification: what the profiles cost over their bare requests, what starting costs, and each endpoint's latency."""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.row import Row, seconds
from mlflow_backend.deployed import DeployedBackend
from mlflow_backend.local.platform import LocalPlatform
from mlflow_backend.verify import runner
from mlflow_backend.verify.checks import chosen, of_profile
from mlflow_backend.verify.client import Client, Deadline, Transport
from mlflow_backend.verify.context import REST, Context, Shared
from mlflow_backend.verify.credentials import Credentials
from mlflow_backend.verify.model import Request, Result
from mlflow_backend.verify.request import VerifyRequest
from tests.engine.stack import LocalStack

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow_backend.verify.model import Exchange
    from mlflow_backend.verify.subjects import Subject

_RUNS = 5
_STARTS = 7
_CALLS = 40
_DEADLINE_S = 180.0
_LIMITS = {"core": 1.1, "full": 1.3}
_START_LIMIT_S = 0.5
_SCRIPT = Path(__file__).resolve().parents[1] / "scripts" / "verify.py"
# The deployment that this project replaces, milliseconds (issue 5); each endpoint here may take a fifth of it.
_BEFORE = {"health": 12, "experiments/search": 853, "runs/create": 245, "runs/log-metric": 180, "runs/get": 320}
_SHARE = 1 / 5


class _OneConnection(Client):
    """The same client, but everything goes over one connection that is kept alive."""

    def send(self, request: Request, *, deadline: Deadline) -> Exchange:
        """Send without opening a connection of its own, also if a check asks for one."""
        return super().send(replace(request, alone=False), deadline=deadline)


def measure() -> Iterator[Row]:
    """Deploy a stack of its own, measure it, and leave nothing."""
    yield starting()
    with tempfile.TemporaryDirectory(prefix="mlflow-backend-bench-") as folder:
        stack = LocalStack(Path(folder) / "stack")
        try:
            stack.must_up()
            subject = DeployedBackend(LocalPlatform(stack.state)).subject()
            for profile, limit in _LIMITS.items():
                yield profile_cost(subject, profile, limit)
            yield from latencies(subject)
        finally:
            stack.close()


def starting() -> Row:
    """Start the command, import all that a verification needs, and end without a request."""
    line = [sys.executable, str(_SCRIPT), "http://127.0.0.1:9", "--only", "revision"]
    taken = [
        seconds(lambda: subprocess.run(line, capture_output=True, check=False, timeout=60)) for _ in range(_STARTS)
    ]
    figures = f"median of {_STARTS} processes; slowest {max(taken):.2f} s"
    return Row(
        what="verify: import and start", value=statistics.median(taken), unit="s", limit=_START_LIMIT_S, figures=figures
    )


def profile_cost(subject: Subject, profile: str, limit: float) -> Row:
    """Compare a profile with its own requests, one after the other over one kept connection."""
    whole, bare = [], []
    for _ in range(_RUNS):
        report = runner.run(subject, VerifyRequest(profile=profile, deadline_s=_DEADLINE_S))
        if report.verdict is not Result.PASS:
            raise RuntimeError(report.text())
        whole.append(report.checks_ms)
        bare.append(back_to_back(subject, profile))
    ours, floor = statistics.median(whole), statistics.median(bare)
    after = f"cleanup {report.cleanup_ms:.0f} ms, sweep {report.sweep_ms:.0f} ms"
    figures = f"{ours:.0f} ms against {floor:.0f} ms, medians of {_RUNS}; {after}"
    return Row(
        what=f"verify {profile} / its requests back to back", value=ours / floor, unit="x", limit=limit, figures=figures
    )


def back_to_back(subject: Subject, profile: str) -> float:
    """Return the milliseconds that a profile's requests take over one kept connection, without anything in between."""
    client = _OneConnection(subject.url, Credentials(), Transport(), request_timeout_s=30)
    shared = Shared(
        subject=subject,
        client=client,
        access="none",
        deadline=Deadline(_DEADLINE_S),
        created=runner.entity_names(_DEADLINE_S),
    )
    for check in _in_order(profile):
        check.run(Context(shared, check.name))
    spent = sum(timing.latency_ms for timing in shared.timings)
    for undo in shared.take_undo():
        undo.run(Context(shared, "cleanup"))
    client.close()
    return spent


def _in_order(profile: str) -> Iterator[Any]:
    """The checks, each behind what it needs."""
    waiting, done = list(of_profile(profile)), set[str]()
    while waiting:
        check = next(check for check in waiting if set(check.needs) <= done)
        waiting.remove(check)
        done.add(check.name)
        yield check


def latencies(subject: Subject) -> Iterator[Row]:
    """Ask each endpoint again and again over one kept connection."""
    client = Client(subject.url, Credentials(), Transport(), request_timeout_s=30)
    deadline = Deadline(_DEADLINE_S)

    def ask(request: Request) -> float:
        exchange = client.send(request, deadline=deadline)
        if not exchange.ok:
            raise RuntimeError(f"{exchange.called}: {exchange.status} {exchange.detail}")
        return exchange.elapsed_ms

    shared = Shared(
        subject=subject, client=client, access="none", deadline=deadline, created=runner.entity_names(_DEADLINE_S)
    )
    for check in chosen(of_profile("core"), ("run",)):
        check.run(Context(shared, check.name))
    made, now = shared.created, int(time.time() * 1000)
    calls = {
        "health": Request("GET", "/health"),
        "experiments/search": Request("POST", f"{REST}/experiments/search", json={"max_results": 100}),
        "runs/create": Request("POST", f"{REST}/runs/create", json={"experiment_id": made.experiment_id}),
        "runs/log-metric": Request(
            "POST",
            f"{REST}/runs/log-metric",
            json={"run_id": made.run_id, "key": "bench", "value": 1.0, "timestamp": now},
        ),
        "runs/get": Request("GET", f"{REST}/runs/get", query={"run_id": made.run_id}),
    }
    for name, request in calls.items():
        taken = sorted(ask(request) for _ in range(_CALLS))
        before = _BEFORE[name]
        figures = f"{before} ms before; median of {_CALLS}, 95th percentile {taken[int(_CALLS * 0.95)]:.1f} ms"
        yield Row(
            what=f"latency of {name}",
            value=statistics.median(taken),
            unit="ms",
            limit=before * _SHARE,
            figures=figures,
        )
    for undo in shared.take_undo():
        undo.run(Context(shared, "cleanup"))
    client.close()
