"""A verification on a schedule by a task in the backend's own network, whose report is in its log.

It runs in the server's image: each import here is in MLflow's environment. It asks no platform.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.backup import job
from mlflow_backend.backup.source import recorded
from mlflow_backend.backup.verify_job import ScheduledVerification
from mlflow_backend.codec import from_document
from mlflow_backend.contract import BackendError
from mlflow_backend.releases.ledger import Ledger
from mlflow_backend.releases.reports import code_of
from mlflow_backend.verify import runner
from mlflow_backend.verify.job import verdict_line, wait_until_let_in
from mlflow_backend.verify.subjects import Live

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from mlflow_backend.backup.job import Bucket
    from mlflow_backend.releases.stores import Store
    from mlflow_backend.verify.report import Report

_BY: Final = "scripts.verify"
_LIVE: Final = Live(no_heads="whoever verifies here may not ask the database; the readiness check compares its schema")


def main(arguments: Sequence[str], store: Callable[[Bucket], Store]) -> int:
    """Verify what the folder of the argument describes, and print the report; return its verdict's exit code.

    It is not kept as the backend's last report: an update that is under way reads its own there.
    """
    wanted = from_document(ScheduledVerification, json.loads((Path(arguments[0]) / job.JOB).read_text()))
    report = _verified(wanted, store(wanted.store))
    sys.stdout.write(f"{verdict_line(report)}\n{report.json()}\n")
    return int(code_of(report))


def _verified(wanted: ScheduledVerification, store: Store) -> Report:
    wait_until_let_in(wanted.subject.url)
    subject = replace(wanted.subject, **_recorded(store), live=_LIVE)
    return runner.run(subject, wanted.request)


def _recorded(store: Store) -> dict[str, Any]:
    """Return what the ledger says of the backend: its identity, and the version that serves."""
    ledger = Ledger(store, by=_BY)
    try:
        release = recorded(ledger)
        identity = ledger.state().identity or {}
    except BackendError as error:
        return {"identity_problem": str(error)}
    return {"identity": identity, "expected_version": None if release is None else release.mlflow_version}
