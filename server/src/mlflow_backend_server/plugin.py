"""The entry point `mlflow-backend` of the group `mlflow.app`: `mlflow server --app-name mlflow-backend`.

`app` is asked for in two kinds of process. The `mlflow server` command only wants to know whether it is a factory, and
gets a placeholder that costs no import; that is also the one moment before there are workers, used to prepare what
they share. A server process (uvicorn's or gunicorn's) gets the real application.
"""

from __future__ import annotations

import importlib
import os
import secrets
import sys
from typing import Any, NoReturn

from mlflow_backend_server import temporary
from mlflow_backend_server.access.routes import RoutesError, table_of
from mlflow_backend_server.db import addresses
from mlflow_backend_server.db.chains import installed_version
from mlflow_backend_server.db.verdicts import ToolError
from mlflow_backend_server.settings import Access, Settings, SettingsError, from_environment

#: Set by `mlflow server` for its children, if MLflow knows more than one kind of server.
_SERVER_KIND = "_MLFLOW_SGI_NAME"
_BOOTSTRAPPED = "_MLFLOW_AUTH_ADMIN_BOOTSTRAPPED"


def __getattr__(name: str) -> Any:
    """Make `app` when it is asked for, by the kind of process that asks."""
    if name != "app":
        raise AttributeError(name)
    settings = _settings()
    if os.environ.get(_SERVER_KIND) == "uvicorn" or "gunicorn.app.base" in sys.modules:
        from mlflow_backend_server.assembly import application

        made = application(settings)
        globals()["app"] = made
        return made
    try:
        _prepare(settings)
    except (SettingsError, ToolError) as error:
        _stop(error)
    return _Placeholder()


class _Placeholder:
    """Stands for the application in the `mlflow server` command, which never calls it."""


def _settings() -> Settings:
    try:
        return from_environment(os.environ)
    except SettingsError as error:
        _stop(error)


def _stop(error: SettingsError | ToolError) -> NoReturn:
    # As a supervisor shows it: one line instead of a trace, once, from the command itself.
    sys.exit(f"mlflow-backend: {error}")


def _prepare(settings: Settings) -> None:
    # First: the others put files there.
    os.environ.update(temporary.prepare(os.environ))
    try:
        table_of(installed_version())
    except RoutesError as error:
        raise SettingsError(str(error)) from None
    if settings.metrics_port:
        from mlflow_backend_server.http.metrics import prepare_folder

        os.environ.update(prepare_folder(os.environ))
    if settings.access is Access.BASIC:
        from mlflow_backend_server.access.config import JOB_TOKEN, fail_closed, prepare_config

        os.environ.update(prepare_config(os.environ) | fail_closed())
        # Refused here, before MLflow makes its users' tables where they do not belong.
        addresses.from_environment(os.environ)
        # MLflow does this for its own app only, by name; a failure in a worker instead would restart it for ever.
        auth = importlib.import_module("mlflow.server.auth")
        if hasattr(auth, "bootstrap_admin_user"):
            auth.get_flask_server_secret_key()
            auth.bootstrap_admin_user()
            os.environ[_BOOTSTRAPPED] = "true"
        os.environ[JOB_TOKEN] = secrets.token_hex(32)
    if settings.jobs:
        from mlflow_backend_server.periodic import take_over

        os.environ.update(take_over(os.environ))
