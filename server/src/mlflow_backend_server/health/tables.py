"""The tables that the served MLflow version works with, and the question which of them a database has lost.

A table that was dropped, renamed, or copied without its primary key shows nowhere else but in the routes that use it:
the head in `alembic_version` stays as it was.
"""

from __future__ import annotations

import importlib
import importlib.util
from typing import TYPE_CHECKING

from mlflow_backend_server.health.database import ask
from mlflow_backend_server.health.states import Away

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow_backend_server.db.addresses import Address

_BASES = {"tracking": "mlflow.store.db.base_sql_model", "auth": "mlflow.server.auth.db.models"}
#: Modules that declare tables on those bases; the last came with 3.10.
_DECLARING = {
    "tracking": (
        "mlflow.store.tracking.dbmodels.models",
        "mlflow.store.model_registry.dbmodels.models",
        "mlflow.store.workspace.dbmodels.models",
    ),
    "auth": ("mlflow.server.auth.db.models",),
}
_SHOWN = 5


def expected(database: str) -> tuple[str, ...]:
    """Return the names of the tables that MLflow declares for the database `tracking` or `auth`."""
    for module in _DECLARING[database]:
        if _is_there(module):
            importlib.import_module(module)
    return tuple(sorted(importlib.import_module(_BASES[database]).Base.metadata.tables))


def lost(address: Address, names: Sequence[str]) -> list[str]:
    """Return which of these tables are missing, or have no primary key, which all of MLflow's have.

    Raises Away if the database does not answer.
    """
    if not names:
        return []
    # MLflow's own names; a quote in one would only be text here.
    wanted = ", ".join("('{}')".format(name.replace("'", "''")) for name in names)
    return ask(
        address,
        f"SELECT name FROM (VALUES {wanted}) AS wanted (name) WHERE NOT EXISTS "  # noqa: S608
        "(SELECT FROM pg_constraint WHERE contype = 'p' AND conrelid = to_regclass(quote_ident(name)))",
    )


def require(address: Address, names: Sequence[str]) -> None:
    """Raise Away if a table is lost; it is named."""
    if gone := lost(address, names):
        more = f" and {len(gone) - _SHOWN} more" if len(gone) > _SHOWN else ""
        raise Away(f"These tables are missing or have lost their primary key: {', '.join(gone[:_SHOWN])}{more}.")


def _is_there(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ModuleNotFoundError:
        return False
