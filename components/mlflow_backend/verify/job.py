"""A verification packaged as a zip that another interpreter runs: its input and its output.

It runs in a backend's own network, in the server's image, which has urllib3 and none of this project's packages; the
modules come with the job (`bundle`). Its credentials are references that mean something there.
"""

from __future__ import annotations

import json
import socket
import sys
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from mlflow_backend import packaged
from mlflow_backend.codec import from_document, to_document
from mlflow_backend.verify import runner
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.request import VerifyRequest  # noqa: TC001 - `codec` reads the declared types
from mlflow_backend.verify.subjects import Live, Subject

if TYPE_CHECKING:
    from mlflow_backend.verify.report import Report

JOB: Final = "job.json"
MODULES: Final = (
    "*.py",
    "verify/**/*.py",
    "server_package/src/mlflow_backend_server/*.json",
)
"""What the checks import, and the tables that they read."""
# A line of a container's log is cut at 16 KiB: the verdict's must be whole for whoever counts red ones.
_HEADLINE: Final = 2000
# A network plugin may let a new pod through seconds after it runs (kube-router: up to 12 s).
_LET_IN_S: Final = 30.0
_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, kw_only=True)
class Job:
    """What is verified and how, and what whoever asks has learned from the platform for it (see Live)."""

    subject: Subject
    request: VerifyRequest
    running: str | None
    no_heads: str


def job_of(subject: Subject, request: VerifyRequest) -> Job:
    """Return the job; the platform is asked now, because the task may not."""
    running = subject.live.running
    return Job(subject=subject, request=request, running=running() if running else None, no_heads=subject.live.no_heads)


def bundle(job: Job) -> bytes:
    """Return the job with all modules that it needs, as a zip file; equal jobs are equal bytes."""
    return packaged.archive(MODULES, {JOB: json.dumps(to_document(job), sort_keys=True).encode()})


def main(folder: str) -> int:
    """Run the job of an unpacked bundle, and print its report: first the verdict as one line, then all of it."""
    job = from_document(Job, json.loads((Path(folder) / JOB).read_text(encoding="utf-8")))
    running = job.running
    live = Live(running=None if running is None else lambda: running, no_heads=job.no_heads)
    wait_until_let_in(job.subject.url)
    report = runner.run(replace(job.subject, live=live), job.request)
    if job.request.whole:
        sys.stdout.write(f"{verdict_line(report)}\n")
    sys.stdout.write(report.json())
    sys.stdout.flush()
    return 0


def wait_until_let_in(url: str, *, deadline_s: float = _LET_IN_S) -> None:
    """Wait until an address takes a connection; one that takes none by then is for the checks to name."""
    address, ends = urlsplit(url), time.monotonic() + deadline_s
    where = (address.hostname, address.port or _PORTS[address.scheme])
    while time.monotonic() < ends:
        try:
            socket.create_connection(where, timeout=5).close()
        except OSError:
            time.sleep(0.5)
        else:
            return


def verdict_line(report: Report) -> str:
    """Return the verdict as one line of JSON, which an alarm counts by its key `verdict`."""
    verdict = report.verdict.value if report.verdict else None
    revision = report.served_revision or report.expected_revision
    red = [check.name for check in report.checks if check.result in {Result.FAIL, Result.INCONCLUSIVE}]
    line = {"verdict": verdict, "revision": revision, "red": red, "headline": report.headline()[:_HEADLINE]}
    return json.dumps(line, sort_keys=True)
