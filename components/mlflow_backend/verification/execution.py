"""From where a subject is verified: here, or where its target says that its URL can be called from.

The checks are the same everywhere; a target's module is imported when a locator names it.
"""

from __future__ import annotations

import importlib
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, Final, Protocol, cast

from mlflow_backend.contract import Refused
from mlflow_backend.releases.stores import StoreError
from mlflow_backend.verify import runner

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend.verify.report import Report
    from mlflow_backend.verify.subjects import Subject

PLACES: Final[dict[str, str]] = {"ecs": "mlflow_backend.ecs.verifying"}
"""Kind of locator -> module with a `run` of its own."""


class Runs(Protocol):
    """What verifies: `runner` itself, or a target's module around it."""

    def run(  # noqa: PLR0913 - as runner.run
        self,
        subject: Subject,
        *,
        profile: str = "core",
        deadline_s: float = 180.0,
        only: tuple[str, ...] = (),
        skip: tuple[str, ...] = (),
        begun: Callable[[Report], None] | None = None,
    ) -> Report:
        """Verify a subject (see runner.run)."""


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
    subject = replace(subject, **_recorded(subject))
    named = PLACES.get(subject.locator.get("kind", ""))
    place = cast("Runs", runner if named is None else importlib.import_module(named))
    return place.run(subject, profile=profile, deadline_s=deadline_s, only=only, skip=skip, begun=begun)


def _recorded(subject: Subject) -> dict[str, Any]:
    """Return what the stack itself says, as fields of the subject: identity, whom it lets in, its schema heads."""
    from mlflow_backend.releases.targets import TARGETS, open_releases  # noqa: PLC0415 - a URL alone has no ledger

    if subject.locator.get("kind") not in TARGETS:
        return {}
    target = open_releases(subject.locator)
    asked = {**asdict(target.doors(subject.expected_revision)), "heads": target.heads}
    try:
        return {**asked, "identity": target.ledger.standing().identity or {}}
    except (Refused, StoreError) as error:
        return {**asked, "identity_problem": str(error)}
