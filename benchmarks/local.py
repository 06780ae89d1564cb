"""The local target: an update without changes, a fresh one, and the memory of everything but MLflow."""

from __future__ import annotations

import json
import re
import statistics
import tempfile
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from benchmarks.row import Row, interleaved, seconds
from mlflow_backend.local import revisions
from tests.engine.stack import LocalStack

if TYPE_CHECKING:
    from collections.abc import Iterator

_NO_OP_RUNS = 7
_FRESH_RUNS = 3
_MEBI = 1024 * 1024


def measure() -> Iterator[Row]:
    """Deploy a stack of its own, measure it, and leave nothing."""
    with tempfile.TemporaryDirectory(prefix="mlflow-backend-bench-") as folder:
        stack = LocalStack(Path(folder) / "stack")
        try:
            yield fresh(stack)
            yield idle_memory(stack)
            yield no_op(stack, empty_program(Path(folder)))
        finally:
            stack.close()


def empty_program(folder: Path) -> LocalStack:
    """Return a stack whose program imports pulumi and does nothing, with the same CLI and interpreter."""
    empty = LocalStack(folder / "empty", "empty")
    (empty.project / "__main__.py").write_text("import pulumi\n")
    empty.must_up()
    return empty


def no_op(stack: LocalStack, empty: LocalStack) -> Row:
    """Compare an update without changes, less its verification, with that of the empty program."""
    checked: list[float] = []

    def update() -> None:
        stack.must_up()
        checked.append(verification(stack))

    ours, floor = interleaved(_NO_OP_RUNS, update, empty.must_up)
    checks = statistics.median(checked)
    figures = f"{ours:.2f} s, {checks:.2f} s of them the verification, against {floor:.2f} s, medians of {_NO_OP_RUNS}"
    return Row(
        what="no-op `up` less its verification / no-op `up` of an empty program",
        value=(ours - checks) / floor,
        unit="x",
        limit=2.0,
        figures=figures,
    )


def fresh(stack: LocalStack) -> Row:
    """Compare an update from nothing with the server's start and the verification, which it cannot do without."""
    ratios = []
    for _ in range(_FRESH_RUNS):
        stack.destroy()
        whole = seconds(lambda: stack.must_up("--skip-preview"))
        ratios.append((whole, server_start(stack) + verification(stack)))
    whole, needed = sorted(ratios)[len(ratios) // 2]
    figures = f"{whole:.1f} s against {needed:.1f} s, median of {_FRESH_RUNS}"
    return Row(
        what="fresh `up` / server start-to-healthy + verification",
        value=whole / needed,
        unit="x",
        limit=1.25,
        figures=figures,
    )


def server_start(stack: LocalStack) -> float:
    """Return the seconds from a server's start to its first healthy answer, beside the one that serves."""
    serving = revisions.active(stack.state)
    if serving is None:
        raise RuntimeError("no revision serves")
    log = (stack.state.supervisor / "supervisord.log").read_text()
    began = re.findall(r"^(\S+ \S+) INFO spawned: '" + serving.program.name, log, re.MULTILINE)[-1]
    started = datetime.strptime(began, "%Y-%m-%d %H:%M:%S,%f").astimezone().timestamp()
    # The file is replaced as soon as the server is healthy.
    return stack.state.active.stat().st_mtime - started


def verification(stack: LocalStack) -> float:
    """Return the seconds that the checks, their cleanup and the sweep took."""
    report = json.loads(stack.state.report.read_text())
    return float(report["checks_ms"] + report["cleanup_ms"] + report["sweep_ms"]) / 1000


def idle_memory(stack: LocalStack) -> Row:
    """Add up the memory (PSS: shared pages counted once) of every process but the MLflow server's own."""
    server = revisions.list_all(stack.state)[0].program
    total: dict[str, float] = {}
    for process in stack.processes():
        if process.cmdline()[-len(server.argv[1:]) :] == list(server.argv[1:]) or "uvicorn" in process.cmdline():
            continue
        name = psutil.Process(process.pid).name()
        total[name] = total.get(name, 0) + process.memory_full_info().pss / _MEBI
    figures = ", ".join(f"{name} {mib:.0f}" for name, mib in sorted(total.items()))
    return Row(
        what="idle memory besides MLflow's processes", value=sum(total.values()), unit="MiB", limit=300, figures=figures
    )
