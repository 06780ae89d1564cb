"""The application's role and databases, made by an administrator who is no superuser, as a managed Postgres has one."""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from typing import TYPE_CHECKING

import psycopg2
import pytest
from psycopg2 import sql

from tests.server.environments import Tool, finish

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.server.services import Postgres, Services

ADMIN_PASSWORD = "admin-s3cret"


@dataclass(frozen=True, kw_only=True)
class Instance:
    """What a cloud gives: an administrator, who owns an empty tracking database. Nothing else is there."""

    services: Services
    admin: str
    user: str
    tracking: str

    @property
    def auth(self) -> str:
        """The basic-auth database, which nobody has made."""
        return f"{self.tracking}_auth"

    def tool(self, password: str = "first-s3cret", **extra: str) -> Tool:
        """Return the tool as the one-shot task runs it."""
        uri = f"postgresql+psycopg2://{self.user}@127.0.0.1:{self.services.postgres.port}"
        environment = {
            "MLFLOW_BACKEND_STORE_URI": f"{uri}/{self.tracking}",
            "MLFLOW_BACKEND_AUTH_DATABASE_URI": f"{uri}/{self.auth}",
            "PGPASSWORD": password,
            "MLFLOW_BACKEND_ADMIN_USER": self.admin,
            "MLFLOW_BACKEND_ADMIN_PASSWORD": ADMIN_PASSWORD,
            **self.services.store.environment,
            **extra,
        }
        return Tool(version="2.9.2", environment=environment)

    def logs_in(self, password: str) -> bool:
        """Return whether the server could log in with this password."""
        try:
            psycopg2.connect(
                host="127.0.0.1", port=self.services.postgres.port, user=self.user, password=password,
                dbname=self.tracking, connect_timeout=10,
            ).close()  # fmt: skip
        except psycopg2.OperationalError:
            return False
        return True


@pytest.fixture
def instance(services: Services, postgres: Postgres) -> Iterator[Instance]:
    """A fresh instance, all of whose statements are logged."""
    mark = secrets.token_hex(4)
    made = Instance(services=services, admin=f"admin_{mark}", user=f"server_{mark}", tracking=f"r_{mark}")
    rights = f"LOGIN CREATEDB CREATEROLE PASSWORD '{ADMIN_PASSWORD}'"
    postgres.execute("postgres", f"CREATE ROLE {made.admin} {rights}")
    postgres.execute("postgres", f"ALTER ROLE {made.admin} SET log_statement = 'all'")
    postgres.execute("postgres", f"CREATE DATABASE {made.tracking} OWNER {made.admin}")
    yield made
    for name in postgres.names(made.tracking):
        postgres.drop(name)
    for role in (made.user, made.admin):
        postgres.execute("postgres", f"DROP ROLE IF EXISTS {role}")


def test_a_new_instance_gets_a_role_that_owns_its_databases_and_may_do_no_more(
    instance: Instance, postgres: Postgres
) -> None:
    """The first command makes what is missing, later ones find nothing to do, and no password is in any log."""
    tool = instance.tool()
    first = tool.run("status")
    assert {entry["direction"] for entry in first.report["databases"].values()} == {"empty"}
    assert f"made the role '{instance.user}'" in first.words
    upgraded = tool.run("upgrade")
    assert upgraded.code == 0
    assert "role" not in upgraded.words
    rights = "SELECT rolcanlogin, rolsuper, rolcreatedb, rolcreaterole, rolreplication, rolbypassrls FROM pg_roles"
    asked = sql.SQL(rights + " WHERE rolname = {}").format(sql.Literal(instance.user))
    assert postgres.execute("postgres", asked) == [(True, False, False, False, False, False)]
    for name in (instance.tracking, instance.auth):
        asked = sql.SQL("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = {}").format(sql.Literal(name))
        assert postgres.execute("postgres", asked) == [(instance.user,)]
        owners = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
        assert postgres.execute(name, owners) == [(instance.user,)]
    logged = postgres.process.log.read_text()
    assert f'CREATE ROLE "{instance.user}"' in logged
    for password in ("first-s3cret", ADMIN_PASSWORD):
        assert password not in logged.replace(f"PASSWORD '{ADMIN_PASSWORD}'", "")
        assert password not in f"{first.report}{first.words}{upgraded.report}{upgraded.words}"


def test_a_changed_password_reaches_the_role(instance: Instance) -> None:
    """The next command takes it, and the old one is worth nothing then."""
    assert instance.tool().run("status").code == 0
    assert instance.logs_in("first-s3cret")
    changed = instance.tool("second-s3cret").run("status")
    assert changed.code == 0
    assert f"set the password of the role '{instance.user}'" in changed.words
    assert instance.logs_in("second-s3cret")
    assert not instance.logs_in("first-s3cret")


def test_a_restore_makes_its_databases_as_the_administrator(instance: Instance, postgres: Postgres) -> None:
    """The role may make none, and what is restored belongs to it all the same."""
    tool = instance.tool()
    assert tool.run("upgrade").code == 0
    dumped = tool.run("dump", "--to", "s3://mlflow/_backend/dumps")
    assert dumped.code == 0
    restored = tool.run("restore", "--from", dumped.report["address"])
    assert restored.code == 0
    assert tool.run("check").code == 0
    owner = "SELECT DISTINCT tableowner FROM pg_tables WHERE schemaname = 'public'"
    assert postgres.execute(instance.tracking, owner) == [(instance.user,)]
    kept = restored.report["databases"]["tracking"]["kept"]
    assert tool.run("drop", kept).code == 0
    assert kept not in postgres.names(instance.tracking)


def test_two_first_commands_at_once_make_everything_once(instance: Instance) -> None:
    """Tasks start in pairs where a service and a migration overlap; neither may fail for the other."""
    outcomes = [finish(process) for process in [instance.tool().start("status") for _ in range(3)]]
    assert [outcome.code for outcome in outcomes] == [0, 0, 0]
    assert sum("made the role" in outcome.words for outcome in outcomes) == 1


@pytest.mark.parametrize(
    ("statement", "extra", "code", "finding"),
    [
        ("SELECT 1", {"MLFLOW_BACKEND_ADMIN_PASSWORD": ""}, 2, "MLFLOW_BACKEND_ADMIN_PASSWORD is not set"),
        ("SELECT 1", {"MLFLOW_BACKEND_ADMIN_USER": ""}, 2, "MLFLOW_BACKEND_ADMIN_USER is not set"),
        ("SELECT 1", {"PGPASSWORD": ""}, 2, "has no password in PGPASSWORD"),
        ("SELECT 1", {"MLFLOW_BACKEND_ADMIN_PASSWORD": "wr0ng"}, 12, "password authentication failed"),
        ("CREATE ROLE {user} SUPERUSER", {}, 11, "is a superuser"),
        ("ALTER DATABASE {tracking} OWNER TO mlflow", {}, 11, "belongs to 'mlflow'"),
    ],
)
def test_what_is_somebody_elses_is_left_alone(
    instance: Instance, postgres: Postgres, statement: str, extra: dict[str, str], code: int, finding: str
) -> None:
    """Half an administrator, a wrong one, a superuser for a server, another's database: a sentence and its code."""
    postgres.execute("postgres", statement.format(user=instance.user, tracking=instance.tracking))
    outcome = instance.tool(**extra).run("status")
    assert (outcome.code, finding in outcome.report["error"]) == (code, True), outcome.report
    assert "wr0ng" not in f"{outcome.report}{outcome.words}"


def test_the_administrator_is_no_user_for_a_server(instance: Instance) -> None:
    """A server with the administrator's rights is refused, not served."""
    uri = f"postgresql+psycopg2://{instance.admin}@127.0.0.1:{instance.services.postgres.port}/{instance.tracking}"
    outcome = instance.tool(MLFLOW_BACKEND_STORE_URI=uri).run("status")
    assert (outcome.code, "is also the user" in outcome.report["error"]) == (2, True)
