"""Run every MLflow migration on empty Postgres databases and print the statements that each one executed, as JSON.

Run with the Python of an MLflow environment and MLFLOW_BACKEND_STORE_URI and MLFLOW_BACKEND_AUTH_DATABASE_URI naming
two empty databases. It only records: `revision_classes.py` classifies.
"""

from __future__ import annotations

import importlib
import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "src"))

from mlflow_backend_server.db import addresses
from mlflow_backend_server.db.chains import Chain, installed_package, read_chains
from mlflow_backend_server.db.migrations import INITIAL_MODELS, migrate, sqlalchemy_connection
from mlflow_backend_server.db.postgres import connected

if TYPE_CHECKING:
    from mlflow_backend_server.db.addresses import Address


def record(address: Address, chain: Chain) -> dict[str, Any]:
    """Return title and statements of each revision, in order."""
    from sqlalchemy import event

    statements: list[str] = []
    recorded: dict[str, Any] = {}
    titles = {revision.id: revision.title for revision in chain.revisions}

    def note(revision: str) -> None:
        recorded[revision] = {"title": titles[revision], "statements": list(statements)}
        statements.clear()

    with connected(address, purpose="record") as raw, sqlalchemy_connection(raw) as connection:
        if chain.name == "tracking":
            # Before listening: these tables belong to no revision.
            importlib.import_module(INITIAL_MODELS).Base.metadata.create_all(connection)
            connection.commit()

        @event.listens_for(connection.engine, "before_cursor_execute")
        def _(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
            statements.append(" ".join(statement.split()))

        migrate(connection, chain, head=None, applied=note)
    return recorded


def main() -> int:
    """Record both chains."""
    chains = read_chains(installed_package())
    databases = addresses.from_environment(os.environ)
    json.dump({name: record(address, chains[name]) for name, address in databases.items()}, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
