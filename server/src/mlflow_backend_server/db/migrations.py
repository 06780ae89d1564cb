"""The run of MLflow's own migration scripts on a connection of ours, in one transaction.

MLflow's `env.py` opens connections of its own (the basic-auth one even from the URI with the password in it), so the
advisory lock could not live on the connection that migrates. Alembic's EnvironmentContext serves without an env.py.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any, cast

from mlflow_backend_server.db.chains import AUTH_SCRIPTS, TRACKING_SCRIPTS, Chain, installed_package

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from psycopg2.extensions import connection as PostgresConnection

_SCRIPTS = {"tracking": TRACKING_SCRIPTS, "auth": AUTH_SCRIPTS}
#: SQLAlchemy makes these before the chain's first revision, which alters them.
INITIAL_MODELS = "mlflow.store.tracking.dbmodels.initial_models"


def sqlalchemy_connection(connection: PostgresConnection) -> Any:
    """Return a SQLAlchemy connection that works on the given psycopg2 connection and no other."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import StaticPool

    connection.autocommit = False
    engine = create_engine("postgresql+psycopg2://", creator=lambda: connection, poolclass=StaticPool)
    return engine.connect()


def migrate(  # noqa: PLR0913 - one call, each argument a fact of it
    connection: Any,
    chain: Chain,
    *,
    head: str | None,
    restamp: bool = False,
    applied: Callable[[str], None],
    package: Path | None = None,
) -> None:
    """Bring the database from `head` (None: empty) to the chain's head, all or nothing; `applied` hears each revision.

    With `restamp` the version moves from Alembic's default table to the chain's own first.
    """
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory

    config = Config()
    folder = (package or installed_package()) / _SCRIPTS[chain.name]
    config.set_main_option("script_location", str(folder).replace("%", "%%"))
    scripts = ScriptDirectory.from_config(config)

    def steps(revision: Any, _context: Any) -> Any:
        return scripts._upgrade_revs(chain.head, revision)  # noqa: SLF001 - as in Alembic's own command.upgrade

    def report(step: Any, **_: Any) -> None:
        if step.up_revision_id:
            applied(step.up_revision_id)

    with EnvironmentContext(config, scripts, fn=steps, destination_rev=chain.head) as environment, connection.begin():
        if head is None and chain.name == "tracking":
            importlib.import_module(INITIAL_MODELS).Base.metadata.create_all(connection)
        environment.configure(
            connection=connection, version_table=chain.version_table, on_version_apply=cast("Any", report)
        )
        if restamp and head is not None:
            environment.get_context().stamp(scripts, head)
        environment.run_migrations()
