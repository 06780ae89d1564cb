"""The guard of a server's start: it starts on the schema that its MLflow needs alone, whoever starts it.

MLflow would migrate an older database by itself while it starts, unseen and without a dump; one that is away may come
back at any schema while MLflow tries again for two minutes.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import psycopg2

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.local import causes, revisions, schema
from mlflow_backend.schema_tables import required_heads

if TYPE_CHECKING:
    from mlflow_backend.local.revisions import Record
    from mlflow_backend.local.state import StateDir
    from mlflow_backend.schema import Heads

# Postgres recovers from a crash in one or two seconds (docs/facts.md, A); after a large one it takes longer.
_DATABASE_WAIT_S = 30.0
_POLL_S = 0.05


def refuse_program(state: StateDir, name: str) -> None:
    """Refuse as `refuse_other_schema` does if the supervised program is a revision's server; others pass."""
    number = revisions.number_of(name)
    if number is not None:
        refuse_other_schema(state, revisions.load(state, number))


def refuse_other_schema(state: StateDir, record: Record) -> None:
    """Raise PlatformFailed if the database is not known to be at the head that the revision's MLflow needs."""
    part = f"revision {record.number}"
    live = _live_heads(state, record, part)
    wanted = required_heads(record.mlflow_version, auth=live.auth is not None)
    if wanted is not None and live != wanted:
        finding = f"the database is at {live}, and MLflow {record.mlflow_version} needs {wanted}"
        raise PlatformFailed(finding, code="guard-schema", fix="Repeat the update, which migrates first", part=part)


def _live_heads(state: StateDir, record: Record, part: str) -> Heads:
    """Return the database's heads; it is waited for if waiting can help, and a refused password is named."""
    deadline = time.monotonic() + _DATABASE_WAIT_S
    while True:
        try:
            return schema.answered_heads(state)
        except psycopg2.OperationalError as error:
            if causes.is_hopeless(said := str(error).strip()):
                raise causes.explain_start(
                    PlatformFailed(f"got the answer: {said}", code="guard-refused", part=part), record.mlflow_version
                ) from None
            if time.monotonic() > deadline:
                finding = "the database does not answer, so it is not known to be at the schema that this MLflow needs"
                raise PlatformFailed(
                    finding, code="guard-database-away", fix="Start it with `make up`, and repeat", part=part
                ) from None
        time.sleep(_POLL_S)
