"""Fixtures of the server's tests."""

from __future__ import annotations

import secrets
import sys
from typing import TYPE_CHECKING

import pytest

from tests.server.environments import SOURCE, Tool
from tests.server.servers import install_package
from tests.server.services import Postgres, Services, start_services

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

# The package under test has an environment of its own; what of it needs no MLflow is tested in this one.
sys.path.insert(0, str(SOURCE))


@pytest.fixture(scope="session")
def services(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Services]:
    """Postgres, Valkey and S3 for the whole session; a test that stops one starts it again."""
    started = start_services(tmp_path_factory.mktemp("services"))
    yield started
    started.close()


@pytest.fixture(scope="session")
def postgres(services: Services) -> Postgres:
    """The session's Postgres."""
    return services.postgres


@pytest.fixture(scope="session")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The server package with its entry points, for the PYTHONPATH of servers."""
    return install_package(tmp_path_factory.mktemp("package"))


@pytest.fixture
def database(postgres: Postgres) -> Iterator[str]:
    """The name of an empty database, dropped afterwards with all that a restore made of it."""
    name = f"t_{secrets.token_hex(4)}"
    postgres.create(name)
    postgres.create(f"{name}_auth")
    yield name
    for left in postgres.names(name):
        postgres.drop(left)


@pytest.fixture
def tool(services: Services, database: str) -> Callable[..., Tool]:
    """Make the tool of an MLflow version on the test's tracking database, and on its basic-auth database too."""

    def make(version: str, *, auth: bool = False, **extra: str) -> Tool:
        environment = {
            "MLFLOW_BACKEND_STORE_URI": services.postgres.uri(database),
            "PGPASSWORD": services.postgres.password,
            **services.store.environment,
            **({"MLFLOW_BACKEND_AUTH_DATABASE_URI": services.postgres.uri(f"{database}_auth")} if auth else {}),
            **extra,
        }
        return Tool(version=version, environment=environment)

    return make
