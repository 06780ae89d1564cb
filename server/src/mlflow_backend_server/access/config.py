"""The file that gives MLflow's basic auth its database: MLflow knows no variable for that.

Read-only images and task definitions cannot hold a file, so each server makes it when it starts, for its own
user only. It holds no password: if MLflow reads the administrator's from it, a worker puts in the environment's.
"""

from __future__ import annotations

import configparser
import importlib
import os
import secrets
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_backend_server.http.metrics import group_lives
from mlflow_backend_server.settings import SettingsError

if TYPE_CHECKING:
    from collections.abc import Mapping

FILE_VARIABLE = "MLFLOW_AUTH_CONFIG_PATH"
_DATABASE_VARIABLE = "MLFLOW_BACKEND_AUTH_DATABASE_URI"
_DEFAULT_PERMISSION = "MLFLOW_BACKEND_DEFAULT_PERMISSION"
_USER_VARIABLE, PASSWORD_VARIABLE = "MLFLOW_AUTH_ADMIN_USERNAME", "MLFLOW_AUTH_ADMIN_PASSWORD"
#: By which a job of this server calls its gateway in the name of the user who submitted it.
JOB_TOKEN = "_MLFLOW_INTERNAL_GATEWAY_AUTH_TOKEN"  # noqa: S105 - the name of a variable
#: MLflow's own net below its table of validators: a route without one is refused. Older versions have none.
_FAIL_CLOSED = "MLFLOW_BASIC_AUTH_FAIL_CLOSED"
AUTHORIZATION = "mlflow.server.auth:authenticate_request_basic_auth"
_VARIABLES = "mlflow.environment_variables"
_STEM = "mlflow-backend-auth-"


def prepare_config(environment: Mapping[str, str]) -> dict[str, str]:
    """Write the file and return the variable that names it; nothing if the environment names one already.

    Called once, before there are workers. The file is named by the process group; those of groups that are gone are
    removed, because a killed server cannot do it. Raises SettingsError if a variable is missing, OSError.
    """
    if environment.get(FILE_VARIABLE):
        return {}
    for name in (_DATABASE_VARIABLE, PASSWORD_VARIABLE):
        if not environment.get(name):
            raise SettingsError(f"MLFLOW_BACKEND_ACCESS is 'basic', and neither {FILE_VARIABLE} nor {name} is set.")
    known = hasattr(importlib.import_module(_VARIABLES), PASSWORD_VARIABLE)
    path = Path(tempfile.gettempdir()) / f"{_STEM}{os.getpgrp()}.ini"
    for other in path.parent.glob(f"{_STEM}*.ini"):
        if other == path or not group_lives(other.stem.removeprefix(_STEM)):
            other.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        content(environment, placeholder="" if known else secrets.token_urlsafe(32)).write(file)
    return {FILE_VARIABLE: str(path)}


def fail_closed() -> dict[str, str]:
    """Return the variable by which MLflow refuses routes that nobody guards, whatever the environment says of it."""
    known = hasattr(importlib.import_module(_VARIABLES), _FAIL_CLOSED)
    return {_FAIL_CLOSED: "true"} if known else {}


def content(environment: Mapping[str, str], *, placeholder: str = "") -> configparser.ConfigParser:
    """Return what MLflow reads; with a `placeholder` if it insists on a password for its administrator."""
    config = configparser.ConfigParser()
    said = {
        "default_permission": environment.get(_DEFAULT_PERMISSION) or "READ",
        "database_uri": environment[_DATABASE_VARIABLE],
        "authorization_function": AUTHORIZATION,
        "admin_username": environment.get(_USER_VARIABLE) or "admin",
    }
    if placeholder:
        said["admin_password"] = placeholder
    # MLflow reads it with interpolation, where a percent sign is written twice.
    config["mlflow"] = {name: value.replace("%", "%%") for name, value in said.items()}
    return config
