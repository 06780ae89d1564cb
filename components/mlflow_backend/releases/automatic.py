"""The rollback that an update does by itself when its verification fails: the same plan and the same steps.

Only to a release that is SAFE: nothing is restored unasked. It pins nothing, and blocks the failed release only.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.contract import Refused
from mlflow_backend.releases import run
from mlflow_backend.releases.plan import Request, plan
from mlflow_backend.releases.targets import open_releases
from mlflow_backend.verify.model import Result

if TYPE_CHECKING:
    from mlflow_backend.locator import Locator
    from mlflow_backend.verify.report import Report


def roll_back(locator: Locator, report: Report, *, profile: str, deadline_s: float) -> str:
    """Roll back from the release that failed, if there is one to go back to; say in a sentence what was done."""
    target = open_releases(locator)
    failed = ", ".join(check.name for check in report.checks if check.result is Result.FAIL)
    options = run.RollbackOptions(reason=f"failed: {failed}", profile=profile, deadline_s=deadline_s, automatic=True)
    try:
        pin = target.ledger.state().pin
        if pin is not None:
            return f"Nothing was rolled back: revision {pin.revision} is pinned."
        with target.rollback_lock():
            made = plan(target.rollback_context(), Request())
            return f"Rolled back by itself: {run.begin(target, made, options, say=_say_nothing).sentence}"
    except Refused as refusal:
        return f"Nothing was rolled back: {refusal}"
    except Exception as error:  # noqa: BLE001 - the verification's own failure must be reported as well
        return f"Rolling back by itself failed: {error} See what serves with `make releases`."


def _say_nothing(_message: str) -> None:
    """Say nothing: a provider's output goes nowhere, and the sentence says how it ended."""
