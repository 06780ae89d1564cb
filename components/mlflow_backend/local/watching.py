"""Prometheus beside a local backend, for as long as somebody watches: Debian's program, on loopback, with our alerts.

Owns the folder `monitoring` of the stack. It starts nothing that outlives it, and changes nothing of the backend.
"""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
from contextlib import contextmanager
from typing import TYPE_CHECKING

from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.local import ports, revisions, whole
from mlflow_backend.local.state import PRIVATE_FOLDER, write
from mlflow_backend.monitoring import rules
from mlflow_backend.monitoring.scraping import RULES, TARGETS, configuration, own_labels, targets
from mlflow_backend.pace import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow_backend.local.state import StateDir

_PROGRAM = "prometheus"
_CONFIGURATION = "prometheus.json"
_KEPT = "15d"
_START_TIMEOUT_S = 30.0
_STOP_TIMEOUT_S = 20.0
_POLL_S = 2.0


def prepare(state: StateDir) -> None:
    """Write what Prometheus reads."""
    folder, stack = state.monitoring, state.path.name
    folder.mkdir(mode=PRIVATE_FOLDER, parents=True, exist_ok=True)
    write(folder / RULES, json.dumps(rules(own_labels(stack)), indent=2))
    write(folder / _CONFIGURATION, json.dumps(configuration(), indent=2))
    find(state)


def find(state: StateDir) -> None:
    """Write whom Prometheus asks: the server of the active revision if there is one, and for the stack's figures."""
    active = revisions.active(state)
    addresses = [f"{ports.LOOPBACK}:{active.metrics_port}"] if active is not None and active.metrics_port else []
    document = json.dumps(targets(state.path.name, addresses, whole=[whole.address(state)]))
    path = state.monitoring / TARGETS
    if not path.exists() or path.read_text(encoding="utf-8") != document:
        write(path, document)


def command(state: StateDir, program: str, port: int) -> list[str]:
    """Return Prometheus's command line."""
    folder = state.monitoring
    return [
        program,
        f"--config.file={folder / _CONFIGURATION}",
        f"--storage.tsdb.path={folder / 'data'}",
        f"--storage.tsdb.retention.time={_KEPT}",
        f"--web.listen-address={ports.LOOPBACK}:{port}",
        "--log.level=warn",
    ]


@contextmanager
def watching(state: StateDir) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    """Run Prometheus, and serve it the stack's figures; give its address and its process, and end it afterwards.

    Raises Refused if the program is not installed, PlatformFailed if it does not start.
    """
    program = shutil.which(_PROGRAM)
    if program is None:
        raise Refused(
            "Prometheus is not installed: there is no program of that name on PATH.",
            code="prometheus-missing",
            fix="On Debian and Ubuntu: `apt-get install --no-install-recommends prometheus`.",
        )
    prepare(state)
    with whole.serving(state), _running(state, program) as (url, process):
        yield url, process


@contextmanager
def _running(state: StateDir, program: str) -> Iterator[tuple[str, subprocess.Popen[bytes]]]:
    port = ports.choose(state, _PROGRAM)
    log = state.monitoring / "prometheus.log"
    with log.open("ab") as output:
        process = subprocess.Popen(
            command(state, program, port),
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        wait_until(lambda: process.poll() is not None or ports.listens(port), timeout_s=_START_TIMEOUT_S)
        if process.poll() is not None or not ports.listens(port):
            raise PlatformFailed(
                "Prometheus does not start", code="prometheus-not-startable", fix=f"Read {log}", part=_PROGRAM
            )
        yield f"http://{ports.LOOPBACK}:{port}", process
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(timeout=_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def follow(state: StateDir, process: subprocess.Popen[bytes]) -> None:
    """Follow the backend from revision to revision, until Prometheus ends.

    Raises PlatformFailed if it ended by itself.
    """
    while True:
        try:
            code = process.wait(timeout=_POLL_S)
        except subprocess.TimeoutExpired:
            find(state)
            continue
        raise PlatformFailed(
            f"Prometheus ended with code {code}",
            code="prometheus-ended",
            fix=f"Read {state.monitoring / 'prometheus.log'}",
            part=_PROGRAM,
        )
