"""The environment of one `mlflow server`: what MLflow, its drivers and the plugin read. Pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

from mlflow_backend.server import keys
from mlflow_backend.server.addresses import SecretTemplate, cache_url, database_uri

if TYPE_CHECKING:
    from mlflow_backend.server.inputs import ServerInputs
    from mlflow_backend.server.versions import Abilities

MIB = 1024 * 1024
ACCESS_VARIABLE = "MLFLOW_BACKEND_ACCESS"
ARTIFACT_LIMIT_VARIABLE = "MLFLOW_BACKEND_MAX_ARTIFACT_BYTES"
JOBS_VARIABLE = "MLFLOW_SERVER_ENABLE_JOB_EXECUTION"
PREFIX_VARIABLE = "MLFLOW_BACKEND_PATH_PREFIX"


def plain(inputs: ServerInputs, able: Abilities) -> dict[str, str]:
    """Return the variables that anybody may read who can look at the process."""
    environment = {
        # By environment, not by flag: MLflow copies flags into the command lines of its children.
        "MLFLOW_BACKEND_STORE_URI": database_uri(inputs.database),
        "MLFLOW_SQLALCHEMYSTORE_POOL_SIZE": str(inputs.pool.size),
        "MLFLOW_SQLALCHEMYSTORE_MAX_OVERFLOW": str(inputs.pool.max_overflow),
        "PYTHONUNBUFFERED": "1",
    }
    if inputs.database.tls_ca is not None:
        environment |= {"PGSSLMODE": "verify-full", "PGSSLROOTCERT": inputs.database.tls_ca}
    elif not _is_loopback(inputs.database.host):
        # libpq's default, prefer, falls back to plain text without a word.
        environment["PGSSLMODE"] = "require"
    if inputs.artifacts.endpoint_url is not None:
        environment["MLFLOW_S3_ENDPOINT_URL"] = inputs.artifacts.endpoint_url
    if inputs.artifacts.region is not None:
        environment |= {"AWS_REGION": inputs.artifacts.region, "AWS_DEFAULT_REGION": inputs.artifacts.region}
    if able.telemetry:
        environment["MLFLOW_DISABLE_TELEMETRY"] = "true"
    if able.jobs:
        # MLflow has them on by default since 3.9.0; they take nine more processes and 2.4 GB.
        environment[JOBS_VARIABLE] = "true" if inputs.jobs else "false"
    return {**environment, **_plugin_environment(inputs, able)}


def _plugin_environment(inputs: ServerInputs, able: Abilities) -> dict[str, str]:
    """Return what the plugin reads (server/README.md); what is its default is left out, but for the access mode."""
    access = inputs.access
    environment = {
        ACCESS_VARIABLE: access.mode,
        "MLFLOW_BACKEND_MAX_REQUEST_BYTES": str(inputs.max_request_mib * MIB),
        ARTIFACT_LIMIT_VARIABLE: str(inputs.max_artifact_mib * MIB),
        "MLFLOW_BACKEND_TEMPORARY_BYTES": str(inputs.temporary_mib * MIB),
        "MLFLOW_BACKEND_ACCESS_LOG": "true" if inputs.access_log else "false",
        "MLFLOW_BACKEND_TRUSTED_PROXIES": str(inputs.proxies),
    }
    if able.stack == "uvicorn":
        # gunicorn has a time-out of its own, by flag.
        environment["MLFLOW_BACKEND_REQUEST_TIMEOUT_SECONDS"] = str(inputs.request_timeout_s)
    if inputs.path_prefix:
        environment[PREFIX_VARIABLE] = inputs.path_prefix
    if inputs.metrics_port:
        environment |= metrics(inputs.metrics_port, host=inputs.metrics_host)
    if access.mode == "basic":
        environment["MLFLOW_BACKEND_AUTH_DATABASE_URI"] = database_uri(inputs.database, database=access.database)
        environment["MLFLOW_AUTH_ADMIN_USERNAME"] = access.admin_user
        if inputs.default_permission != type(inputs).default_permission:
            environment["MLFLOW_BACKEND_DEFAULT_PERMISSION"] = inputs.default_permission
    if access.mode == "token":
        environment["MLFLOW_BACKEND_API_KEYS"] = access.keys
        if access.requests_per_minute is not None:
            environment["MLFLOW_BACKEND_API_KEY_REQUESTS_PER_MINUTE"] = str(access.requests_per_minute)
    return environment


def metrics(port: int, *, host: str = "127.0.0.1") -> dict[str, str]:
    """Return the variables of a server with metrics for Prometheus."""
    return {"MLFLOW_BACKEND_METRICS_HOST": host, "MLFLOW_BACKEND_METRICS_PORT": str(port)}


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def encryption() -> dict[str, SecretTemplate]:
    """Return the variables with the stack's own encryption keys: without them MLflow takes public or passing ones."""
    return {variable: SecretTemplate(text=f"{{{name}}}") for variable, name in keys.VARIABLES.items()}


def secret(inputs: ServerInputs, able: Abilities) -> dict[str, SecretTemplate]:
    """Return the variables that hold secrets, as references."""
    secrets = {"PGPASSWORD": SecretTemplate(text=f"{{{inputs.database.password}}}"), **encryption()}
    if inputs.artifacts.access_key is not None:
        secrets["AWS_ACCESS_KEY_ID"] = SecretTemplate(text=f"{{{inputs.artifacts.access_key}}}")
        secrets["AWS_SECRET_ACCESS_KEY"] = SecretTemplate(text=f"{{{inputs.artifacts.secret_key}}}")
    if inputs.cache is not None:
        url = cache_url(inputs.cache)
        if inputs.jobs:
            secrets["MLFLOW_SERVER_JOB_HUEY_REDIS_URL"] = url
        if able.gateway_budgets_on_redis:
            secrets["MLFLOW_GATEWAY_BUDGET_REDIS_URL"] = url
        if inputs.access.counts:
            secrets["MLFLOW_BACKEND_REDIS_URL"] = url
    if inputs.access.mode == "basic":
        # The versions that know neither variable get both by the plugin (server/README.md).
        secrets["MLFLOW_AUTH_ADMIN_PASSWORD"] = SecretTemplate(text=f"{{{inputs.access.admin_password}}}")
        secrets["MLFLOW_FLASK_SERVER_SECRET_KEY"] = SecretTemplate(text=f"{{{inputs.access.session_key}}}")
    return secrets
