"""How a backend on ECS is found again without Pulumi: a few texts, none of them a secret. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlflow_backend.aws.render.policies import Store
from mlflow_backend.ecs.history import ServiceName
from mlflow_backend.ecs.oneshot import Network
from mlflow_backend.ecs.render.tasks import DATABASE, PROBE, SERVER, TASKS, VERIFY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.aws.naming import Naming

KIND: Final = "ecs"
_YES, _NO = "yes", "no"


@dataclass(frozen=True, kw_only=True)
class Reach:
    """How users reach a backend.

    `secret` is the ARN of the secret with the verification's login, empty where anybody may call; `access` is the mode
    of access. `inside` is whether the URL can be called from the backend's network only.
    """

    url: str
    secret: str = ""
    access: str = "basic"
    inside: bool = False


@dataclass(frozen=True, kw_only=True)
class Located:
    """A backend as its locator says it, with the families of its server's and its one-shot tasks, and these' logs.

    `database` is the identifier of the RDS instance that the stack made, empty for an adopted database.
    """

    stack: str
    service: ServiceName
    store: Store
    server_family: str
    database_family: str
    verify_family: str
    tasks_logs: str
    network: Network
    reach: Reach
    database: str


def report_path(stack: str) -> Path:
    """Return where a copy of the last report of a stack is kept: below the folder that Pulumi or a command works in."""
    return Path.cwd() / ".backend" / stack / "verification.json"


def locator(naming: Naming, *, store: Store, network: Network, reach: Reach, database: str) -> dict[str, str]:
    """Return the locator of a backend.

    The database task is named by its family, not by a revision: a preview of a new image must still be able to read
    what the backend is.
    """
    return {
        "kind": KIND,
        "stack": naming.stack,
        "region": naming.region,
        "cluster": naming.cluster(),
        "service": naming.service(),
        "address": f"{naming.region}/{naming.cluster()}/{naming.service()}",
        "serverFamily": naming.family(SERVER),
        "databaseFamily": naming.family(DATABASE),
        "verifyFamily": naming.family(VERIFY),
        "tasksLogs": naming.log_group(TASKS),
        "bucket": store.bucket,
        "root": store.root,
        "securityGroups": ",".join(network.security_groups),
        "subnets": ",".join(network.subnets),
        "publicAddress": _YES if network.public_address else _NO,
        "url": reach.url,
        "secret": reach.secret,
        "access": reach.access,
        "inside": _YES if reach.inside else _NO,
        "database": database,
    }


def located(found: Mapping[str, str]) -> Located:
    """Return what a locator says."""
    return Located(
        stack=found["stack"],
        service=ServiceName(region=found["region"], cluster=found["cluster"], service=found["service"]),
        store=Store(bucket=found["bucket"], root=found["root"]),
        server_family=found["serverFamily"],
        database_family=found["databaseFamily"],
        verify_family=found["verifyFamily"],
        tasks_logs=found["tasksLogs"],
        network=Network(
            subnets=tuple(found["subnets"].split(",")),
            security_groups=tuple(found["securityGroups"].split(",")),
            public_address=found["publicAddress"] == _YES,
        ),
        reach=Reach(url=found["url"], secret=found["secret"], access=found["access"], inside=found["inside"] == _YES),
        # A state of before this field has none: its resources are deleted by the locator that they were made with.
        database=found.get("database", ""),
    )


def credentials(reach: Reach) -> dict[str, str]:
    """Return where verification finds the users' kind of login; references, never values."""
    probe = PROBE.get(reach.access, {}) if reach.secret else {}
    return {name: f"secretsmanager:{reach.secret}#{key}" for name, (_, key) in probe.items()}


def credentials_inside(reach: Reach) -> dict[str, str]:
    """Return where verification finds it within its own task."""
    probe = PROBE.get(reach.access, {}) if reach.secret else {}
    return {name: f"env:{variable}" for name, (variable, _) in probe.items()}
