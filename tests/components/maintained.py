"""A maintenance as the tests have a task do it: what it found, and the lines of its report."""

from __future__ import annotations

import json
from typing import Any

from mlflow_backend.maintenance import Maintained

FOUND = Maintained(
    dry_run=True,
    removed={"runs": 1},
    kept={},
    databases={},
    temporary_files=None,
    temporary_bytes=0,
    experiments=(),
    lost={},
    dumps=(),
    kept_databases=(),
)


def reported(**report: Any) -> tuple[str, ...]:
    """Return the lines of a report, after some words."""
    return ("waiting", *json.dumps(report, indent=1).splitlines())
