"""The last verification report of a backend, kept in its own store beside the ledger.

Whoever asks about the backend, from whichever machine, gets this one; a report in a file is a copy of it. It holds no
secret: a report never does.
"""

from __future__ import annotations

from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Final

from mlflow_backend.contract import ExitCode, PlatformFailed
from mlflow_backend.releases import durations
from mlflow_backend.releases.stores import ROOT
from mlflow_backend.releases.targets import open_releases
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.report import Report, parse

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow_backend.locator import Locator
    from mlflow_backend.releases.stores import Store

LATEST: Final = f"{ROOT}/reports/latest.json"
_CODES: Final = {Result.PASS: ExitCode.DONE, Result.FAIL: ExitCode.VERIFICATION_FAILED}


class Reports:
    """The last report in one store. A backend that no target keeps, known by its URL alone, has no store."""

    def __init__(self, store: Store | None) -> None:
        """Name the store; nothing is read yet."""
        self._store = store

    def latest(self) -> Report | None:
        """Return the last report, whatever its verdict; None if there is none.

        Raises PlatformFailed if the store fails, PlatformFailed for a report that is damaged.
        """
        content = None if self._store is None else self._store.read([LATEST]).get(LATEST)
        return None if content is None else parse(content, source=LATEST)

    def save(self, report: Report, *, copy: Path | None) -> Report:
        """Keep a report, and its copy on this machine; return it with how long the revision took to be ready.

        Raises OSError for the copy, PlatformFailed for the store.
        """
        if self._store is not None and report.served_revision:
            report = replace(report, **asdict(durations.kept(self._store, report.served_revision)))
        if copy is not None:
            report.save(copy)
        if self._store is not None:
            self._store.replace(LATEST, report.json().encode())
        return report


def reports_of(locator: Locator | None) -> Reports:
    """Return the reports of the backend that a locator names."""
    return Reports(None if locator is None else open_releases(locator).store)


def shown(reports: Reports) -> tuple[str, ExitCode]:
    """Return the last verdict as a table for people, and the exit code that it stands for. Raises PlatformFailed."""
    try:
        report = reports.latest()
    except PlatformFailed as error:
        return f"verification  {error}", ExitCode.INCONCLUSIVE
    if report is None:
        return "verification  no report: the next `pulumi up` or `make verify` writes one", ExitCode.INCONCLUSIVE
    return report.text(), code_of(report)


def code_of(report: Report) -> ExitCode:
    """Return the exit code that a report's verdict stands for."""
    return ExitCode.INCONCLUSIVE if report.verdict is None else _CODES.get(report.verdict, ExitCode.INCONCLUSIVE)
