"""From where a subject is verified: here, or where its target says that its URL can be called from.

The checks are the same everywhere; a target's module is imported when a locator names it.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from mlflow_backend import targets
from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.verify import runner
from mlflow_backend.verify.subjects import Live

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend.verify.report import Report
    from mlflow_backend.verify.subjects import Subject


def run(  # noqa: PLR0913 - as runner.run
    subject: Subject,
    *,
    profile: str = "core",
    deadline_s: float = 180.0,
    only: tuple[str, ...] = (),
    skip: tuple[str, ...] = (),
    begun: Callable[[Report], None] | None = None,
) -> Report:
    """Verify a subject from where it has to be (see runner.run)."""
    subject = asking(subject)
    kind = subject.locator.get("kind", "")
    verifier = targets.get(kind).verifier() if kind in targets.MODULES else runner
    report: Report = verifier.run(subject, profile=profile, deadline_s=deadline_s, only=only, skip=skip, begun=begun)
    return report


def asking(subject: Subject) -> Subject:
    """Return a subject with what its backend itself says: its identity, whom it lets in, and what can be asked."""
    from mlflow_backend.releases.targets import open_releases  # noqa: PLC0415 - a URL alone has no ledger

    if subject.locator.get("kind") not in targets.MODULES:
        return subject
    target, releases = targets.get(subject.locator["kind"]), open_releases(subject.locator)
    fields: dict[str, Any] = asdict(releases.doors(subject.expected_revision))
    try:
        fields["identity"] = releases.ledger.state().identity or {}
    except (Refused, PlatformFailed) as error:
        fields["identity_problem"] = str(error)
    live = Live(
        running=partial(target.running_revision, subject.locator),
        heads=releases.heads,
        purge=target.purger(subject.locator),
        secrets=target.secrets(),
    )
    return replace(subject, **fields, live=live, plain_http=target.loopback)
