"""How a backend on ECS is verified: from here, or from inside its network where its balancer is internal.

Inside, a one-shot task runs the same checks. The modules come with the job, through the backend's own prefix of its
bucket, so that they are this checkout's and not those of whichever image the task has; the report comes back through
the task's log. Every red verdict is also one line in that log group, which the alarm's metric filter counts.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
import uuid
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mlflow_backend.aws import clients as aws
from mlflow_backend.aws.connection import Connection
from mlflow_backend.aws.render.policies import JOBS
from mlflow_backend.aws.store import S3Store
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.ecs.history import running_revision
from mlflow_backend.ecs.locator import credentials_inside, located
from mlflow_backend.ecs.oneshot import OneShot, OneShots, reported, split
from mlflow_backend.ecs.render.tasks import VERIFY
from mlflow_backend.verify import job, runner
from mlflow_backend.verify.model import Certainty, Part, Result
from mlflow_backend.verify.report import CheckReport, Report, now
from mlflow_backend.verify.subjects import Live

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend.ecs.locator import Located
    from mlflow_backend.verify.subjects import Subject

# What cleaning up may take beyond the checks (runner).
_CLEANUP_S: Final = 60.0
_UNPACK: Final = (
    "import boto3,hashlib,io,sys,tempfile,zipfile;"
    "bucket,key,digest=sys.argv[1:];"
    "data=boto3.client('s3').get_object(Bucket=bucket,Key=key)['Body'].read();"
    "hashlib.sha256(data).hexdigest()==digest or sys.exit('the job was changed on its way');"
    "folder=tempfile.mkdtemp();"
    "zipfile.ZipFile(io.BytesIO(data)).extractall(folder);"
    "sys.path.insert(0,folder);"
    "from mlflow_backend.verify import job;"
    "sys.exit(job.main(folder))"
)
"""What the task runs: it takes the job from the bucket, holds it to its digest, and runs it."""

_log = logging.getLogger(__name__)


def run(  # noqa: PLR0913 - as runner.run
    subject: Subject,
    *,
    profile: str = "core",
    deadline_s: float = 180.0,
    only: tuple[str, ...] = (),
    skip: tuple[str, ...] = (),
    begun: Callable[[Report], None] | None = None,
) -> Report:
    """Verify a backend on ECS from where its URL can be called (see runner.run)."""
    place = located(subject.locator)
    whole = not (only or skip)
    if not place.reach.inside:
        report = runner.run(subject, profile=profile, deadline_s=deadline_s, only=only, skip=skip, begun=begun)
        if whole:
            _count(place, report)
        return report
    started = Report(
        url=subject.url,
        profile=profile,
        deadline_s=deadline_s,
        started=now(),
        expected_version=subject.expected_version,
        expected_revision=subject.expected_revision,
    )
    if begun is not None:
        begun(started)
    try:
        wish = job.document(_told(place, subject), profile=profile, deadline_s=deadline_s, only=only, skip=skip)
        return _inside(place, job.bundle(wish), deadline_s + _CLEANUP_S)
    except PlatformFailed as error:
        report = _not_run(started, str(error))
        if whole:
            _count(place, report)
        return report


def _told(place: Located, subject: Subject) -> Subject:
    """Return the subject as the task takes it: it may not ask ECS what runs, so it is told what ECS says just now."""
    serving = running_revision(subject.locator["address"])
    return replace(
        subject,
        locator={},
        live=Live(
            running=lambda: serving,
            no_heads="whoever verifies here may not ask the database; the readiness check compares its schema",
        ),
        credentials=credentials_inside(place.reach),
        report_path=None,
    )


def _inside(place: Located, content: bytes, deadline_s: float) -> Report:
    """Run a job in the backend's network. Raises PlatformFailed, PlatformFailed, PlatformFailed."""
    connections = aws.connections(Connection(place.service.region))
    store = S3Store(connections.store, bucket=place.store.bucket, root=place.store.root)
    key = f"{JOBS}/{uuid.uuid4().hex}.zip"
    shot = OneShot(
        cluster=place.service.cluster, task_definition=place.verify_family, container=VERIFY, network=place.network
    )
    whole_key, digest = place.store.prefix(key), hashlib.sha256(content).hexdigest()
    store.replace(key, content)
    try:
        finished = OneShots(clients=connections.clients, shot=shot).run(
            ("python", "-c", _UNPACK, place.store.bucket, whole_key, digest), deadline_s=deadline_s, complete=reported
        )
    finally:
        store.delete(key)
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


def _not_run(started: Report, why: str) -> Report:
    """Return the report of a verification that could not be made: inconclusive, for the backend may be well."""
    check = CheckReport(
        name="inside",
        part=Part.PLATFORM.value,
        shows="The checks run inside the backend's network.",
        result=Result.INCONCLUSIVE,
        sentence="the checks could not be run inside the backend's network",
        code="not-run-inside",
        cause=why,
        certainty=Certainty.KNOWN,
        next_step="Look at the task's log group and at the cluster's stopped tasks, then verify again.",
    )
    return replace(started, finished=now(), verdict=Result.INCONCLUSIVE, checks=(check,))


def _count(place: Located, report: Report) -> None:
    """Put a red verdict into the log group that the alarm counts. What fails here must not change the verdict."""
    if report.verdict is Result.PASS:
        return
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - as mlflow_backend.aws.clients

    logs = aws.connect(Connection(place.service.region)).logs
    stream = f"{VERIFY}/deployer/{uuid.uuid4().hex}"
    event = {"timestamp": int(time.time() * 1000), "message": job.verdict_line(report)}
    try:
        logs.create_log_stream(logGroupName=place.tasks_logs, logStreamName=stream)
        logs.put_log_events(logGroupName=place.tasks_logs, logStreamName=stream, logEvents=[event])  # type: ignore[list-item]
    except (ClientError, BotoCoreError) as error:
        _log.warning("the red verdict was not counted for the alarm: %s", type(error).__name__)
