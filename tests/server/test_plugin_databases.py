"""A server whose environment names one database for tracking and for its users does not start."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.server.servers import Server
from tests.server.services import until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.server.services import Services

pytestmark = pytest.mark.engine


@pytest.mark.parametrize("version", ["2.9.2", "3.17.2"])
def test_one_database_for_both_stops_the_server_in_one_line(
    services: Services, database: str, package: Path, tmp_path: Path, version: str
) -> None:
    """No table of users is made there, and the log says what is named twice, without a trace and without a secret."""
    password = "Long enough 1"
    server = Server(
        version=version,
        services=services,
        database=database,
        package=package,
        folder=tmp_path,
        settings={
            "MLFLOW_BACKEND_ACCESS": "basic",
            "MLFLOW_BACKEND_AUTH_DATABASE_URI": services.postgres.uri(database),
            "MLFLOW_AUTH_ADMIN_PASSWORD": password,
        },
    ).start(healthy=False)
    try:
        process = server.process
        assert process is not None
        assert process.child is not None
        child = process.child
        assert until(lambda: child.poll() is not None, what="the server's end", deadline_s=120)
        assert child.returncode != 0
    finally:
        server.stop()
    (said,) = [line for line in server.log.splitlines() if "mlflow-backend:" in line]
    assert database in said
    assert "Traceback" not in server.log
    assert password not in server.log
    # MLflow makes its tracking tables before it asks for the plugin; those of users must not come among them.
    assert services.postgres.execute(database, "SELECT to_regclass('users') IS NULL") == [(True,)]
