"""The file that gives MLflow's basic auth its database, and the administrator's password."""

from __future__ import annotations

import configparser
from dataclasses import dataclass
from io import StringIO

import pytest
from mlflow_backend_server.access.config import FILE_VARIABLE, content, prepare_config
from mlflow_backend_server.assembly import hold_administrator
from mlflow_backend_server.db import addresses
from mlflow_backend_server.db.verdicts import ToolError
from mlflow_backend_server.settings import SettingsError

URI = "postgresql+psycopg2://m%40x@127.0.0.1:5432/mlflow_auth"
ENVIRONMENT = {"MLFLOW_BACKEND_AUTH_DATABASE_URI": URI, "MLFLOW_AUTH_ADMIN_PASSWORD": "%(pass)s% word"}


@pytest.mark.parametrize("placeholder", ["a%placeholder", ""])
def test_mlflow_reads_back_what_was_meant(placeholder: str) -> None:
    """MLflow reads with interpolation: a percent sign reaches it as one. The password is not in it."""
    written = StringIO()
    content(ENVIRONMENT, placeholder=placeholder).write(written)
    assert "word" not in written.getvalue().replace("admin_password", "")
    read = configparser.ConfigParser()
    read.read_string(written.getvalue())
    assert read["mlflow"]["database_uri"] == URI
    assert read["mlflow"]["admin_username"] == "admin"
    assert read["mlflow"].get("admin_password") == (placeholder or None)


def test_a_file_that_is_named_already_is_left_alone() -> None:
    """Who brings a file of his own gets nothing else."""
    assert prepare_config({FILE_VARIABLE: "/etc/auth.ini"}) == {}


@pytest.mark.parametrize("missing", sorted(ENVIRONMENT))
def test_a_missing_variable_stops_the_server_by_its_name(missing: str) -> None:
    """One line that names the variable, and no value of another."""
    with pytest.raises(SettingsError, match=missing) as caught:
        prepare_config({name: value for name, value in ENVIRONMENT.items() if name != missing})
    assert "word" not in str(caught.value)


@dataclass
class Users:
    """A store of users, as hold_administrator needs it."""

    password: str
    updates: int = 0

    def authenticate_user(self, _username: str, password: str) -> bool:
        """Compare."""
        return password == self.password

    def update_user(self, _username: str, *, password: str) -> None:
        """Set."""
        self.password, self.updates = password, self.updates + 1


@dataclass
class Config:
    """MLflow's own configuration of basic auth."""

    admin_username: str | None = "admin"
    admin_password: str | None = "new"


@pytest.mark.parametrize(
    ("config", "before", "after"),
    [(Config(), "old", ("new", 1)), (Config(), "new", ("new", 0)), (Config(admin_password=None), "old", ("old", 0))],
)
def test_the_administrator_has_the_password_of_the_environment(
    config: Config, before: str, after: tuple[str, int]
) -> None:
    """A rotated password is set once; without one in the environment nobody's is touched."""
    users = Users(before)
    hold_administrator(users, config)
    assert (users.password, users.updates) == after


@pytest.mark.parametrize("users", ["mlflow", "%6dlflow"])
@pytest.mark.parametrize("host", ["127.0.0.1:5432", "db:5432"])
def test_one_database_for_tracking_and_users_is_refused(users: str, host: str) -> None:
    """The server does not start, and the database tool touches nothing, whatever deployed them."""
    environment = {
        "MLFLOW_BACKEND_STORE_URI": f"postgresql+psycopg2://m@{host}/mlflow",
        "MLFLOW_BACKEND_AUTH_DATABASE_URI": f"postgresql://other@{host}/{users}",
    }
    with pytest.raises(ToolError, match="mlflow"):
        addresses.from_environment(environment)
    apart = {**environment, "MLFLOW_BACKEND_AUTH_DATABASE_URI": f"postgresql://other@{host}/users"}
    assert addresses.from_environment(apart).auth is not None
