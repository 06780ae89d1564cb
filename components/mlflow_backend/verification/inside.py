"""A verification by a one-shot task within the backend's network, because its URL cannot be called from here.

The modules come with the job, through the backend's own store, so that they are this checkout's and not those of
whichever image the task has; the report comes back through the task's log.
"""

from __future__ import annotations

import hashlib
import json
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.logged import is_whole, split
from mlflow_backend.releases.stores import JOBS
from mlflow_backend.verify import job
from mlflow_backend.verify.model import Part, Result
from mlflow_backend.verify.report import CheckReport, Report, now
from mlflow_backend.verify.subjects import Live

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend.target import OneShot, Platform
    from mlflow_backend.verify.request import VerifyRequest
    from mlflow_backend.verify.subjects import Subject

# What cleaning up may take beyond the checks (runner).
_CLEANUP_S: Final = 60.0
_NOT_RUN: Final = "not-run-inside"
_RUN: Final = (
    ";import hashlib,io,sys,tempfile,zipfile;"
    "hashlib.sha256(data).hexdigest()==sys.argv[-1] or sys.exit('the job was changed on its way');"
    "folder=tempfile.mkdtemp();"
    "zipfile.ZipFile(io.BytesIO(data)).extractall(folder);"
    "sys.path.insert(0,folder);"
    "from mlflow_backend.verify import job;"
    "sys.exit(job.main(folder))"
)
"""What the task does with the job that it fetched: it holds it to its digest, and runs it."""


def run(
    platform: Platform,
    shot: OneShot,
    subject: Subject,
    request: VerifyRequest,
    *,
    begun: Callable[[Report], None] | None = None,
) -> Report:
    """Verify a subject by a task; inconclusive if the task cannot be run, because the backend may be well."""
    started = Report(
        url=subject.url,
        profile=request.profile,
        deadline_s=request.deadline_s,
        started=now(),
        expected_version=subject.expected_version,
        expected_revision=subject.expected_revision,
    )
    if begun is not None:
        begun(started)
    try:
        return _run(platform, shot, job.bundle(job.job_of(_as_known_inside(platform, shot, subject), request)), request)
    except PlatformFailed as error:
        return _not_run(started, str(error))


def _as_known_inside(platform: Platform, shot: OneShot, subject: Subject) -> Subject:
    """Return the subject for the task, which may not ask the platform what serves: it gets the answer of just now."""
    serving = subject.live.running() if subject.live.running else platform.serving() or ""
    live = Live(
        running=lambda: serving,
        no_heads="whoever verifies here may not ask the database; the readiness check compares its schema",
    )
    return replace(subject, locator=None, live=live, credentials=shot.credentials, report_path=None)


def _run(platform: Platform, shot: OneShot, content: bytes, request: VerifyRequest) -> Report:
    """Run a job in the backend's network. Raises PlatformFailed."""
    key, digest = f"{JOBS}/{uuid.uuid4().hex}.zip", hashlib.sha256(content).hexdigest()
    command = ("python", "-c", f"{shot.fetch}{_RUN}", *shot.arguments(key), digest)
    platform.store.replace(key, content)
    try:
        finished = shot.run(command, deadline_s=request.deadline_s + _CLEANUP_S, complete=is_whole)
    finally:
        platform.store.delete(key)
    output, log = split(finished.lines)
    if not output:
        words = "; ".join((*finished.reasons, *log.splitlines()[-5:])) or "it said nothing"
        raise PlatformFailed(
            f"the verification task ended with {finished.exit_code} and without a report: {words}",
            code="verification-task-without-report",
        )
    try:
        return Report.from_document(json.loads(output))
    except ValueError:
        raise PlatformFailed(
            "the verification task's report is cut off; its log may have been dropped", code="verification-report-cut"
        ) from None


def was_not_run(report: Report) -> bool:
    """Return whether a report says that the task could not be run."""
    return any(check.code == _NOT_RUN for check in report.checks)


def _not_run(started: Report, why: str) -> Report:
    check = CheckReport(
        name="inside",
        part=Part.PLATFORM.value,
        shows="The checks run inside the backend's network.",
        result=Result.INCONCLUSIVE,
        sentence="the checks could not be run inside the backend's network",
        code=_NOT_RUN,
        cause=why,
        next_step="Look at the task's log group and at the cluster's stopped tasks, then verify again.",
    )
    return replace(started, finished=now(), verdict=Result.INCONCLUSIVE, checks=(check,))
