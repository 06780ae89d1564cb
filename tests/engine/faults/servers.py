"""MLflow servers beside the stack, on databases of their own: orphans, and the other half of a broken balancer."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import urllib.error
import urllib.request
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from mlflow_backend.local import environment
from tests.engine.calls import eventually
from tests.engine.stack import count_starts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

START_S = 120


@contextmanager
def server(version: str, folder: Path) -> Iterator[tuple[str, int]]:
    """Run `mlflow server` of a version on SQLite in a folder, on a free port; gives host and port."""
    installed = environment.install(version)
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    options = {
        "--host": "127.0.0.1",
        "--port": str(port),
        "--workers": "1",
        "--backend-store-uri": f"sqlite:///{folder / 'mlflow.db'}",
        "--artifacts-destination": str(folder / "artifacts"),
    }
    process = subprocess.Popen(
        [str(installed.mlflow), "server", *(part for option in options.items() for part in option)],
        cwd=folder,
        env={
            **os.environ,
            # 2.9 starts gunicorn by its name.
            "PATH": f"{installed.mlflow.parent}:{os.environ['PATH']}",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
        },
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    count_starts(1)
    try:
        eventually(lambda: _answers(port), within_s=START_S, what=f"MLflow {version} answers")
        yield "127.0.0.1", port
    finally:
        # The whole group: 2.9 leaves its workers behind.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(timeout=10)


def _answers(port: int) -> bool:
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=2) as answer:
            return bool(answer.status == 200)
    except (OSError, urllib.error.URLError):
        return False
