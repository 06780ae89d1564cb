"""The execution of a verification, here or within the backend's network, and what its backend adds to the subject."""

from __future__ import annotations

import contextlib
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from mlflow_backend import targets
from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.verification import inside
from mlflow_backend.verify import job, runner
from mlflow_backend.verify.extra import extra_check
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.request import CORE, VerifyRequest
from mlflow_backend.verify.subjects import Live

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlflow_backend.target import OneShot
    from mlflow_backend.verify.report import Report
    from mlflow_backend.verify.subjects import Subject


def run(subject: Subject, request: VerifyRequest = CORE, *, begun: Callable[[Report], None] | None = None) -> Report:
    """Verify a subject from where its URL can be called (see runner.run)."""
    deployed = _deployed(subject)
    if deployed is None:
        return runner.run(subject, request, begun=begun)
    subject, platform = _asking(subject, deployed), deployed.platform
    shot = platform.inside()
    if shot is None:
        report = runner.run(subject, request, begun=begun)
    else:
        report = inside.run(platform, shot, subject, request, begun=begun)
    # A task's own report is in its log already, where the alarm counts it.
    if request.whole and report.verdict is not Result.PASS and (shot is None or inside.was_not_run(report)):
        platform.count(job.verdict_line(report))
    return report


def run_apart(
    subject: Subject, *, extra: Mapping[str, Any], running: Callable[[], str], within: OneShot | None = None
) -> Report:
    """Verify a candidate as the whole is verified, but that it need not be the one that users meet.

    `extra` has the `profile`, the `deadline` in seconds and the `extraChecks`; `running` gives the revision of what
    runs at the candidate's address. It is verified by a task `within` the backend's network if one is given.
    """
    asked = asking(subject)
    checks = tuple(extra_check(each) for each in extra["extraChecks"])
    asked = replace(asked, live=replace(asked.live, running=running), extra_checks=checks)
    request = VerifyRequest(profile=extra["profile"], deadline_s=float(extra["deadline"]))
    if within is None:
        return runner.run(asked, request)
    return inside.run(_deployed(subject).platform, within, asked, request)


def asking(subject: Subject) -> Subject:
    """Return a subject with what its backend itself says: its identity, whom it lets in, and what can be asked."""
    deployed = _deployed(subject)
    return subject if deployed is None else _asking(subject, deployed)


def _deployed(subject: Subject) -> Any:
    from mlflow_backend.releases.targets import open_releases  # noqa: PLC0415 - a URL alone has no ledger

    return None if subject.locator is None else open_releases(subject.locator)


def _asking(subject: Subject, deployed: Any) -> Subject:
    platform = deployed.platform
    target = targets.get(platform.target)
    fields: dict[str, Any] = {}
    if subject.expected_revision is not None:
        # Of a revision that is gone nobody knows whom its server let in.
        with contextlib.suppress(Refused):
            fields = asdict(platform.describe(subject.expected_revision).callers)
    try:
        fields["identity"] = deployed.ledger.state().identity or {}
    except (Refused, PlatformFailed) as error:
        fields["identity_problem"] = str(error)
    live = Live(
        running=lambda: platform.serving() or "",
        heads=deployed.heads,
        secrets=platform.secrets(),
    )
    return replace(subject, **fields, live=live, plain_http=target.loopback)
