"""The gate before a job that must not run without tracking: try a few times, then stop the caller."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.verify.model import Result

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend.verify.report import Report

PAUSES_S: Final = (10.0, 20.0, 30.0, 30.0)
"""Seconds between the tries. With five tries of 30 s it gives a backend that is just restarting four minutes."""
TRY_DEADLINE_S: Final = 30.0


def keep_trying(verify: Callable[[], Report], *, pause: Callable[[float], None], tell: Callable[[str], None]) -> Report:
    """Verify until it passes, at most once more than there are pauses; the last report either way."""
    tries = len(PAUSES_S) + 1
    for number, seconds in enumerate(PAUSES_S, start=1):
        report = verify()
        if report.verdict is Result.PASS:
            return report
        tell(f"try {number} of {tries}: {report.headline()}; again in {seconds:.0f} s")
        pause(seconds)
    return verify()
