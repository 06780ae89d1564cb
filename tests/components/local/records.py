"""Records of local revisions."""

from __future__ import annotations

from mlflow_backend.local import revisions
from mlflow_backend.local.render import Program


def record(number: int, port: int = 20_001) -> revisions.Record:
    """Return a revision."""
    return revisions.Record(
        number=number,
        mlflow_version="3.17.2",
        environment_lock="lock",
        port=port,
        program=Program(name=revisions.program_name(number), argv=("mlflow",), tree=True),
        created_at=revisions.now(),
    )
