"""A verification as a file, to be run by another Python than the one that asks: what it is told, and what it answers.

It runs in a backend's own network, in the server's image, which has urllib3 and none of this project's packages; the
modules come with the job (`bundle`). Its credentials are references that mean something there.
"""

from __future__ import annotations

import io
import json
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.packaged import SERVER
from mlflow_backend.verify import runner
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.request import VerifyRequest
from mlflow_backend.verify.subjects import Live, Subject

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.verify.report import Report

JOB: Final = "job.json"
_PACKAGE: Final = SERVER.parent
# What the checks import, and the tables that they read.
_PARTS: Final = (
    "*.py",
    "verify/**/*.py",
    "server_package/src/mlflow_backend_server/*.json",
)
# A line of a container's log is cut at 16 KiB: the verdict's must be whole for whoever counts red ones.
_HEADLINE: Final = 2000


def document(subject: Subject, request: VerifyRequest) -> dict[str, Any]:
    """Return the job as JSON-like data."""
    running = subject.live.running
    return {
        "running": running() if running else None,
        "noHeads": subject.live.no_heads,
        "subject": subject.to_document(),
        "request": request.to_document(),
    }


def bundle(job: Mapping[str, Any], package: Path = _PACKAGE) -> bytes:
    """Return the job with all modules that it needs, as a zip file; equal jobs are equal bytes."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted({path for part in _PARTS for path in package.glob(part)}):
            # Without the file's own time, which is another in each clone.
            archive.writestr(zipfile.ZipInfo(str(path.relative_to(package.parent))), path.read_bytes())
        archive.writestr(zipfile.ZipInfo(JOB), json.dumps(job, sort_keys=True))
    return content.getvalue()


def main(folder: str) -> int:
    """Run the job of an unpacked bundle, and print its report: first the verdict as one line, then all of it."""
    job = json.loads((Path(folder) / JOB).read_text(encoding="utf-8"))
    running = job["running"]
    live = Live(running=None if running is None else lambda: str(running), no_heads=job["noHeads"])
    request = VerifyRequest.from_document(job["request"])
    report = runner.run(replace(Subject.from_document(job["subject"]), live=live), request)
    if request.whole:
        sys.stdout.write(f"{verdict_line(report)}\n")
    sys.stdout.write(report.json())
    sys.stdout.flush()
    return 0


def verdict_line(report: Report) -> str:
    """Return the verdict as one line of JSON, which an alarm counts by its key `verdict`."""
    verdict = report.verdict.value if report.verdict else None
    revision = report.served_revision or report.expected_revision
    red = [check.name for check in report.checks if check.result in {Result.FAIL, Result.INCONCLUSIVE}]
    line = {"verdict": verdict, "revision": revision, "red": red, "headline": report.headline()[:_HEADLINE]}
    return json.dumps(line, sort_keys=True)
