"""The one-shot jobs: the database tool, and a verification inside the network. Pure.

A job's command here only reads; each execution overrides its arguments (run.v2, RunJobRequest.overrides).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.cloudrun.render import containers
from mlflow_backend.cloudrun.render.containers import TEMPORARY, Body
from mlflow_backend.cloudrun.render.inputs import inputs_of
from mlflow_backend.cloudrun.render.service import VERSION_LABEL, version_label
from mlflow_backend.cloudrun.render.size import TEMPORARY_MIB
from mlflow_backend.gcp.render import storage
from mlflow_backend.gcp.render.database import ADMIN_USER
from mlflow_backend.gcp.render.identity import DATABASE, VERIFIER
from mlflow_backend.gcp.render.secrets import ADMIN_PASSWORD, DATABASE_CA, DATABASE_PASSWORD
from mlflow_backend.migrate.tool import COMMAND
from mlflow_backend.server import describe, keys, login

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.cloudrun.render.service import Surroundings
    from mlflow_backend.gcp.naming import Naming
    from mlflow_backend.settings import Settings

_CPUS: Final = 1
_MEMORY_MIB: Final = 1024
# A large database takes as long as it takes (mlflow_backend/migrate/tool.py).
_LONGEST_S: Final = 6 * 3600


def database_job(settings: Settings, naming: Naming, surroundings: Surroundings) -> Body:
    """Return the job that reads, migrates, dumps and restores the database.

    It has the server's own environment, so that both mean the same database, and besides the keys in force the former
    ones: a restored dump is re-encrypted.
    """
    found, store = surroundings, storage.store(settings, naming)
    server = describe(
        inputs_of(
            settings,
            naming,
            tag=naming.tag(""),
            database=found.database,
            cache=found.cache,
            cache_port=found.cache_port,
            store=store,
        )
    )
    environment = {
        **server.environment,
        **containers.database_tls(found.secrets),
        "MLFLOW_BACKEND_DUMPS": store.address(storage.DUMPS),
    }
    variables = {"PGPASSWORD": DATABASE_PASSWORD, **keys.VARIABLES, keys.FORMER_VARIABLE: keys.FORMER}
    if ADMIN_PASSWORD in found.secrets:
        environment["MLFLOW_BACKEND_ADMIN_USER"] = ADMIN_USER
        variables["MLFLOW_BACKEND_ADMIN_PASSWORD"] = ADMIN_PASSWORD
    return _job(
        settings, naming, found, account=DATABASE, argv=(*COMMAND, "status"), environment=environment,
        variables=variables, certificates=(DATABASE_CA,),
    )  # fmt: skip


def verify_job(settings: Settings, naming: Naming, surroundings: Surroundings) -> Body:
    """Return the job that verifies from inside the network; what is checked comes with each execution."""
    return _job(
        settings, naming, surroundings, account=VERIFIER, argv=("python", "--version"), environment={},
        variables=login.variables(settings.access.mode), certificates=(),
    )  # fmt: skip


def _job(  # noqa: PLR0913 - what differs between them, by name
    settings: Settings,
    naming: Naming,
    found: Surroundings,
    *,
    account: str,
    argv: tuple[str, ...],
    environment: Mapping[str, str],
    variables: Mapping[str, str],
    certificates: tuple[str, ...],
) -> Body:
    volumes, mounts = containers.certificates(
        {part: found.secrets[part] for part in certificates if part in found.secrets}
    )
    container = containers.container(
        account,
        found.image,
        argv,
        cpus=_CPUS,
        memory_mib=_MEMORY_MIB,
        environment={**environment, "PYTHONUNBUFFERED": "1"},
        secrets={variable: found.secrets[name] for variable, name in variables.items()},
        mounts={**mounts, "tmp": TEMPORARY},
    )
    labels = naming.labels(settings.tags)
    return {
        "labels": {**labels, VERSION_LABEL: version_label(settings)},
        "template": {
            "labels": labels,
            "parallelism": 1,
            "taskCount": 1,
            "template": {
                "serviceAccount": naming.email(account),
                "executionEnvironment": "EXECUTION_ENVIRONMENT_GEN2",
                # A migration that failed half-way is not begun again by the platform.
                "maxRetries": 0,
                "timeout": f"{_LONGEST_S}s",
                "vpcAccess": containers.vpc_access(network=found.network, subnet=found.subnet, tag=naming.service()),
                "volumes": [*volumes, containers.memory_volume("tmp", TEMPORARY_MIB)],
                "containers": [container],
            },
        },
    }
