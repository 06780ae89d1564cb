"""One MLflow server, described once: every target renders its process, task or pod from `describe`.

Pure: no pulumi, no I/O, no clock. What differs between MLflow versions is in `versions`, what a stack's parts are
called and where they are is in `addresses`, and `describe` and `environment` turn both into argv, variables, port and
probes.
"""

from mlflow_backend.server.access import AccessControl, password_problem, secret_problem
from mlflow_backend.server.addresses import (
    ArtifactStore,
    CacheAddress,
    DatabaseAddress,
    SecretTemplate,
    cache_url,
    database_uri,
)
from mlflow_backend.server.describe import (
    OWNED_FLAGS,
    AllowedCallers,
    Probe,
    ServerDescription,
    allowed_callers,
    allowed_hosts,
    allowed_origins,
    describe,
    flag_problem,
    memory_need_mib,
)
from mlflow_backend.server.inputs import LEAST_CONNECTIONS, PoolSize, ServerInputs
from mlflow_backend.server.versions import Abilities, MlflowVersion, abilities, parse_version

__all__ = [
    "LEAST_CONNECTIONS",
    "OWNED_FLAGS",
    "Abilities",
    "AccessControl",
    "AllowedCallers",
    "ArtifactStore",
    "CacheAddress",
    "DatabaseAddress",
    "MlflowVersion",
    "PoolSize",
    "Probe",
    "SecretTemplate",
    "ServerDescription",
    "ServerInputs",
    "abilities",
    "allowed_callers",
    "allowed_hosts",
    "allowed_origins",
    "cache_url",
    "database_uri",
    "describe",
    "flag_problem",
    "memory_need_mib",
    "parse_version",
    "password_problem",
    "secret_problem",
]
