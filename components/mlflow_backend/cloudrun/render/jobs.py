"""The one-shot jobs: the database tool, a verification inside the network, a backup, and a maintenance. Pure.

The command of the first only reads; each execution overrides its arguments (run.v2, RunJobRequest.overrides), as an
update's does of the second.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from mlflow_backend.backup import job, maintain_job
from mlflow_backend.backup.tool import DEADLINE_S, Tools
from mlflow_backend.cloudrun.render import containers
from mlflow_backend.cloudrun.render.containers import TEMPORARY, Body
from mlflow_backend.cloudrun.render.inputs import inputs_of
from mlflow_backend.cloudrun.render.service import VERSION_LABEL, version_label
from mlflow_backend.cloudrun.render.size import TEMPORARY_MIB
from mlflow_backend.gcp.render import backups, storage
from mlflow_backend.gcp.render.database import ADMIN_USER
from mlflow_backend.gcp.render.identity import DATABASE, VERIFIER
from mlflow_backend.gcp.render.secrets import (
    ADMIN_PASSWORD,
    API_KEYS,
    BASIC,
    DATABASE_CA,
    DATABASE_PASSWORD,
    SecretVersion,
)
from mlflow_backend.gcp.store import FETCH
from mlflow_backend.migrate.tool import COMMAND
from mlflow_backend.schedules import BACKUP, MAINTENANCE
from mlflow_backend.server import describe, keys, login

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.backup.tool import Tool
    from mlflow_backend.cloudrun.render.service import Surroundings
    from mlflow_backend.gcp.naming import Naming
    from mlflow_backend.server import ServerDescription
    from mlflow_backend.settings import Settings

_CPUS: Final = 1
_MEMORY_MIB: Final = 1024
# Beside what the others need: lists of whole stores, and of a backup a piece of what is copied.
_LARGE_MIB: Final = 2048
# A large database takes as long as it takes (mlflow_backend/migrate/tool.py).
_LONGEST_S: Final = 6 * 3600


def database_job(settings: Settings, naming: Naming, surroundings: Surroundings) -> Body:
    """Return the job that reads, migrates, dumps and restores the database.

    It has the server's own environment, so that both mean the same database, and besides the keys in force the former
    ones: a restored dump is re-encrypted.
    """
    found = surroundings
    environment = {
        **_server(settings, naming, found).environment,
        **containers.database_tls(found.secrets),
        "MLFLOW_BACKEND_DUMPS": storage.store(settings, naming).address(storage.DUMPS),
    }
    variables = {"PGPASSWORD": DATABASE_PASSWORD, **keys.VARIABLES, keys.FORMER_VARIABLE: keys.FORMER}
    if ADMIN_PASSWORD in found.secrets:
        environment["MLFLOW_BACKEND_ADMIN_USER"] = ADMIN_USER
        variables["MLFLOW_BACKEND_ADMIN_PASSWORD"] = ADMIN_PASSWORD
    return _job(
        settings, naming, found, account=DATABASE, argv=(*COMMAND, "status"), environment=environment,
        variables=variables, certificates=(DATABASE_CA,),
    )  # fmt: skip


def verify_job(settings: Settings, naming: Naming, surroundings: Surroundings, command: tuple[str, ...]) -> Body:
    """Return the job that verifies from inside the network.

    `command` is what a schedule starts; what an update checks comes with its execution.
    """
    return _job(
        settings, naming, surroundings, account=VERIFIER, argv=command, environment={},
        variables=login.variables(settings.access.mode), certificates=(),
    )  # fmt: skip


def backup_job(settings: Settings, naming: Naming, surroundings: Surroundings) -> Body:
    """Return the job that takes a backup, as the scheduler starts it: with the server's own database, and its secrets.

    What users and their data know the backend by is backed up; passwords of its parts are not.
    """
    found = surroundings
    backed_up = [name for name in (*keys.NAMES, *BASIC, API_KEYS) if name in found.secrets]
    if API_KEYS in backed_up:
        # As servers have them, which read the newest themselves: who adds a key makes no update.
        newest = SecretVersion(secret=naming.secret(API_KEYS), version="latest")
        found = replace(found, secrets={**found.secrets, API_KEYS: newest})
    return _job(
        settings, naming, found, account=BACKUP, argv=backup_tool(settings, naming).command(FETCH),
        environment={**_server(settings, naming, found).environment, **containers.database_tls(found.secrets)},
        variables={
            "PGPASSWORD": DATABASE_PASSWORD, **keys.VARIABLES, **{job.variable(name): name for name in backed_up},
        },
        certificates=(DATABASE_CA,), memory_mib=_LARGE_MIB, longest_s=DEADLINE_S,
    )  # fmt: skip


def maintenance_job(
    settings: Settings, naming: Naming, surroundings: Surroundings, command: tuple[str, ...], *, url: str
) -> Body:
    """Return the job that maintains as the scheduler starts it: with the server's database, and a login at `url`."""
    found = surroundings
    return _job(
        settings, naming, found, account=MAINTENANCE, argv=command,
        environment={
            **_server(settings, naming, found).environment, **containers.database_tls(found.secrets),
            "MLFLOW_TRACKING_URI": url,
        },
        variables={
            "PGPASSWORD": DATABASE_PASSWORD, **keys.VARIABLES, **login.client_variables(settings.access.mode),
        },
        certificates=(DATABASE_CA,), memory_mib=_LARGE_MIB, longest_s=maintain_job.DEADLINE_S + maintain_job.WAIT_S,
    )  # fmt: skip


def backup_tool(settings: Settings, naming: Naming) -> Tool:
    """Return the tool that the job of backups fetches."""
    made = Tools(settings=settings, stack=naming.stack, store=storage.store(settings, naming), cloud="gcp")
    return made.backup(backups.destination(settings, naming.stack))


def _server(settings: Settings, naming: Naming, found: Surroundings) -> ServerDescription:
    return describe(
        inputs_of(
            settings,
            naming,
            tag=naming.tag(""),
            database=found.database,
            cache=found.cache,
            cache_port=found.cache_port,
            store=storage.store(settings, naming),
        )
    )


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
    memory_mib: int = _MEMORY_MIB,
    longest_s: int = _LONGEST_S,
) -> Body:
    volumes, mounts = containers.certificates(
        {part: found.secrets[part] for part in certificates if part in found.secrets}
    )
    container = containers.container(
        account,
        found.image,
        argv,
        cpus=_CPUS,
        memory_mib=memory_mib,
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
                # What failed half-way, such as a migration, is not begun again by the platform.
                "maxRetries": 0,
                "timeout": f"{longest_s}s",
                "vpcAccess": containers.vpc_access(network=found.network, subnet=found.subnet, tag=naming.service()),
                "volumes": [*volumes, containers.memory_volume("tmp", TEMPORARY_MIB)],
                "containers": [container],
            },
        },
    }
