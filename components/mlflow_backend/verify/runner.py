"""The runner of a profile's checks: in parallel if they do not depend on each other, in one deadline.

Owns order, threads, the deadline, cleanup and the verdict. Knows no check by name. A hung server cannot hang it: each
check runs in a daemon thread that is left behind when the deadline ends.
"""

from __future__ import annotations

import queue
import threading
import time
import uuid
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.verify import causes, checks
from mlflow_backend.verify.agent import is_refused_by_name
from mlflow_backend.verify.check import Check
from mlflow_backend.verify.client import CLIENT, Client, Deadline, Transport
from mlflow_backend.verify.context import Context, CreatedEntities, Shared
from mlflow_backend.verify.credentials import Credentials, resolve
from mlflow_backend.verify.extra_run import checks_of
from mlflow_backend.verify.model import Finding, Part, Result, Unexpected, failed, inconclusive, passed, skipped
from mlflow_backend.verify.observed import FailureContext
from mlflow_backend.verify.report import CheckReport, Report, now, redacted, verdict_of
from mlflow_backend.verify.request import CORE
from mlflow_backend.verify.sweep import sweep
from mlflow_backend.verify.tracking import PREFIX, TEXT

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend.verify.request import VerifyRequest
    from mlflow_backend.verify.subjects import Subject

CLEANUP_SHARE: Final = 0.1
CLEANUP_MOST_S: Final = 15.0
"""What cleanup may take beyond the checks, of the deadline and at most: it must run also after they used it up."""
REQUEST_SHARE: Final = 1 / 6
REQUEST_MOST_S: Final = 30.0
"""What one request may take, 30 s by default: so that a hung part is distinguished from a whole that is slow."""
AT_ONCE: Final = 4
"""Checks that run beside each other. More make no server faster, and every answer slower: with basic auth, which hashes
the password for each request (180 ms of a core), sixteen at once came close to the time that one request may take."""
GRACE_S: Final = 0.2
"""What a check has left after the deadline to find which of its requests met it."""


@dataclass(kw_only=True)
class Progress:
    """The checks that are done and those under way, with when they started (seconds since the start)."""

    origin: float
    done: dict[str, CheckReport] = field(default_factory=dict)
    running: dict[str, float] = field(default_factory=dict)

    def clock(self) -> float:
        """Seconds since the verification started."""
        return time.perf_counter() - self.origin

    def finish(self, check: Check, finding: Finding) -> None:
        """Keep a check's finding."""
        start = self.running.pop(check.name, self.clock())
        self.done[check.name] = CheckReport(
            **vars(finding),
            name=check.name,
            part=check.part.value,
            shows=check.description,
            started_ms=round(start * 1000, 3),
            latency_ms=round((self.clock() - start) * 1000, 3),
        )


def run(subject: Subject, request: VerifyRequest = CORE, *, begun: Callable[[Report], None] | None = None) -> Report:
    """Verify a subject and clean up. `begun` gets the report that says `initializing` before the first request.

    Raises `checks.UsageError` for a profile or a check that does not exist; all else that goes wrong is reported.
    """
    extra = checks_of(subject.extra_checks)
    clients = request.clients or (subject.expected_version or CLIENT,)
    all_checks = (*checks.of_profile(request.profile, clients), *extra)
    selected = checks.chosen(all_checks, request.only)
    checks.require_known(all_checks, request.skip)
    report = Report(
        url=subject.url,
        profile=request.profile,
        deadline_s=request.deadline_s,
        started=now(),
        expected_version=subject.expected_version,
        expected_revision=subject.expected_revision,
        insecure=subject.insecure,
    )
    if begun is not None:
        begun(report)
    progress = Progress(origin=time.perf_counter())
    for check in selected:
        if check.name in request.skip:
            progress.finish(check, skipped("left out by --skip"))
    try:
        credentials = resolve(subject.credentials, subject.live.secrets)
    except Refused as error:
        return _without_credentials(report, selected, progress, error)
    _prepare(selected, progress)
    return _verify(subject, selected, report, progress, credentials)


def _prepare(selected: tuple[Check, ...], progress: Progress) -> None:
    for check in selected:
        if check.prepare is None or check.name in progress.done:
            continue
        try:
            check.prepare()
        except (Refused, PlatformFailed) as error:
            progress.finish(
                check,
                inconclusive(
                    "what this check needs on this machine cannot be made",
                    code="not-prepared",
                    cause=str(error),
                    next_step="Do what the cause says, or verify from another machine that can call the URL.",
                ),
            )


def _verify(
    subject: Subject, selected: tuple[Check, ...], report: Report, progress: Progress, credentials: Credentials
) -> Report:
    cleanup_s = min(CLEANUP_MOST_S, report.deadline_s * CLEANUP_SHARE)
    client = Client(
        subject.url,
        credentials,
        Transport(ca_file=subject.ca_file, insecure=subject.insecure),
        request_timeout_s=min(REQUEST_MOST_S, report.deadline_s * REQUEST_SHARE),
        version=subject.expected_version,
    )
    shared = Shared(
        subject=subject,
        client=client,
        access=credentials.kind,
        deadline=Deadline(report.deadline_s - cleanup_s),
        created=entity_names(report.deadline_s),
        secrets=list(credentials.secrets),
    )
    _run_all(selected, shared, progress, report.deadline_s)
    checks_ms = progress.clock() * 1000
    after = Deadline(cleanup_s)
    if shared.undo:
        _afterwards(Check(name="cleanup", part=Part.SERVER, run=_clean_up), shared, progress, after)
    cleanup_ms = progress.clock() * 1000 - checks_ms
    # Where the verification made nothing, it has no business to delete; if it could not, there is nobody to ask.
    if "experiment" in progress.done and progress.done["experiment"].result is Result.PASS:
        _afterwards(Check(name="sweep", part=Part.SERVER, run=sweep), shared, progress, after)
    client.close()
    order = [check.name for check in selected] + ["cleanup", "sweep"]
    done = tuple(progress.done[name] for name in order if name in progress.done)
    finished = replace(
        report,
        finished=now(),
        verdict=verdict_of(done),
        served_version=shared.served_version,
        served_revision=shared.served_revision,
        served_identity=shared.served_identity,
        checks_ms=round(checks_ms, 3),
        cleanup_ms=round(cleanup_ms, 3),
        sweep_ms=round(progress.clock() * 1000 - checks_ms - cleanup_ms, 3),
        checks=done,
        timings=tuple(shared.timings),
    )
    return redacted(finished, shared.secrets)


def _afterwards(check: Check, shared: Shared, progress: Progress, deadline: Deadline) -> None:
    progress.running[check.name] = progress.clock()
    progress.finish(check, _finding(check, Context(shared, check.name, deadline)))


def _run_all(selected: tuple[Check, ...], shared: Shared, progress: Progress, deadline_s: float) -> None:
    results: queue.SimpleQueue[tuple[Check, Finding]] = queue.SimpleQueue()

    def work(check: Check) -> None:
        results.put((check, _finding(check, Context(shared, check.name))))

    while len(progress.done) < len(selected):
        for check in selected:
            if check.name in progress.done or check.name in progress.running:
                continue
            state = [progress.done.get(need) for need in check.needs]
            unmet = [need.name for need in state if need is not None and need.result is not Result.PASS]
            if unmet:
                progress.finish(check, skipped(f"needs {', '.join(unmet)}"))
            elif None not in state and len(progress.running) < AT_ONCE and not _waits(check, selected, progress):
                progress.running[check.name] = progress.clock()
                threading.Thread(target=work, args=(check,), name=f"verify-{check.name}", daemon=True).start()
        if not progress.running:
            continue
        try:
            check, finding = results.get(timeout=shared.deadline.left() + GRACE_S)
        except queue.Empty:
            _overrun(selected, shared, progress, deadline_s)
            return
        progress.finish(check, finding)


def _waits(check: Check, selected: tuple[Check, ...], progress: Progress) -> bool:
    return any(other.name in check.after and other.name not in progress.done for other in selected)


def _overrun(selected: tuple[Check, ...], shared: Shared, progress: Progress, deadline_s: float) -> None:
    for check in selected:
        if check.name in progress.running:
            asked = shared.asking.get(check.name)
            progress.finish(
                check,
                failed(
                    f"not done when the deadline of {deadline_s:.3g} s ended"
                    + (f", waiting for {asked}" if asked else ""),
                    code="deadline",
                    cause="The backend is hung or far slower than the deadline allows.",
                    next_step=(
                        "See what the request waits for; raise verify.deadline only if the backend is rightly that "
                        "slow."
                    ),
                ),
            )
        elif check.name not in progress.done:
            progress.finish(check, skipped(f"the deadline of {deadline_s:.3g} s ended before it could start"))


def _clean_up(context: Context) -> Finding:
    """What the verification made is removed."""
    removed: list[str] = []
    left: list[str] = []
    first: Unexpected | None = None
    undos = context.shared.take_undo()
    for index, undo in enumerate(undos):
        # Each has its share of the time: a store that hangs must not keep the experiment from being removed.
        share = Deadline(context.deadline.left() / (len(undos) - index))
        try:
            undo.run(Context(context.shared, context.check, share))
        except Unexpected as unexpected:
            first = first or unexpected
            left.append(undo.what)
        else:
            removed.append(undo.what)
    if first is not None:
        finding = _explained(first, Part.SERVER, context)
        return replace(finding, sentence=f"left behind: {', '.join(left)} ({context.created.name}); {finding.sentence}")
    return passed(f"removed: {', '.join(removed)}")


def _finding(check: Check, context: Context) -> Finding:
    try:
        return check.run(context)
    except Unexpected as unexpected:
        return _explained(unexpected, check.part, context)
    except Exception as error:  # noqa: BLE001 - an error of the probe's own passes neither for the backend's nor for green
        return inconclusive(
            f"the check broke off with {type(error).__name__}",
            code="probe-error",
            cause=str(error) or "An error of the verification itself.",
            next_step="Report it with this line; the backend may be well.",
        )


def _explained(unexpected: Unexpected, part: Part, context: Context) -> Finding:
    failure = FailureContext(
        part=part,
        host=context.subject.host,
        access=context.shared.access,
        fresh=unexpected.fresh,
        large=unexpected.large,
        also=unexpected.also,
        missing=unexpected.missing,
        agent_refused=is_refused_by_name(context, unexpected.exchange),
    )
    finding = causes.explain(unexpected.exchange, failure)
    if unexpected.otherwise is not None and causes.is_unknown(finding, unexpected.exchange):
        return unexpected.otherwise
    return finding


def entity_names(deadline_s: float) -> CreatedEntities:
    """Names that nothing else has or ever had, for all that one verification makes."""
    own = uuid.uuid4().hex
    # Twice the deadline: nobody sweeps away what a verification that runs still uses, though clocks differ a little.
    return CreatedEntities(
        own=own,
        name=f"{PREFIX}/{own} {TEXT}",
        model_name=f"{PREFIX}-{own} {TEXT}",
        abandoned_at=int(time.time() + 2 * deadline_s) + 1,
    )


def _without_credentials(report: Report, selected: tuple[Check, ...], progress: Progress, error: Refused) -> Report:
    own = Check(name="credentials", part=Part.ACCESS, run=_clean_up)
    progress.finish(
        own,
        inconclusive(
            "the credentials named for the verification cannot be had",
            code="credentials-unreadable",
            cause=str(error),
            next_step="Fix the reference or what it names, then verify again.",
        ),
    )
    for check in selected:
        if check.name not in progress.done:
            progress.finish(check, skipped("needs credentials"))
    done = tuple(progress.done.values())
    return replace(report, finished=now(), verdict=verdict_of(done), checks=done)
