"""The name of a verification in the ledger. Pure."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow_backend.verify.report import Report

_LENGTH = 16


def identity(report: Report) -> str:
    """Return the id of a verification: the same for the same report, wherever it is kept."""
    return hashlib.sha256(report.json().encode()).hexdigest()[:_LENGTH]
