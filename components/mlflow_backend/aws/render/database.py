"""The Postgres instance: size, parameters, protection and backups. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mlflow_backend.aws.render.network import DATABASE_PORT
from mlflow_backend.aws.render.secrets import DATABASE_PASSWORD
from mlflow_backend.report.quantities import HOUR, MONTH, Billing, Inputs, Quantity, number, one, product, text
from mlflow_backend.server import DatabaseAddress
from mlflow_backend.settings.budget import accepted_connections

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.settings import Settings

# The major version of the image's client programs (server/Dockerfile): pg_restore fails on an older server. RDS chooses
# the minor one and keeps it current.
ENGINE_VERSION: Final = "17"
PARAMETER_FAMILY: Final = f"postgres{ENGINE_VERSION}"

DEFAULT_RETENTION_DAYS: Final = 30
LONGEST_RETENTION_DAYS: Final = 35
"""The most that RDS keeps (Amazon RDS API reference, BackupRetentionPeriod)."""

ADMIN_USER: Final = "backend_admin"

# Where the image keeps the certificate bundle of RDS (server/Dockerfile).
DATABASE_CA: Final = "/opt/mlflow-backend/rds-ca-bundle.pem"

_SLOW_STATEMENT_MS: Final = 1000
_IDLE_IN_TRANSACTION_MS: Final = 300_000

# The provider's own limit of a deletion (terraform-provider-aws, internal/service/rds/instance.go). A last snapshot
# copies what changed since the last backup, at worst everything: patience for 100 MiB a second.
_REMOVAL_S: Final = 3600
_SNAPSHOT_S_PER_GIB: Final = 10


@dataclass(frozen=True, kw_only=True)
class Parameter:
    """One setting of Postgres; a static one is only in force after a restart, and RDS does not restart by itself."""

    name: str
    value: str
    static: bool


@dataclass(frozen=True, kw_only=True)
class DatabasePlan:
    """A created database."""

    instance_class: str
    storage_gib: int
    max_storage_gib: int | None
    multi_az: bool
    retention_days: int
    protect: bool
    name: str
    port: int
    parameters: tuple[Parameter, ...]


def protected(settings: Settings) -> bool:
    """Whether what holds data may not be deleted: yes, unless settings say no."""
    return settings.backup.protect is not False


def database_name(settings: Settings) -> str:
    """Return the name of the tracking database."""
    existing = settings.database.existing
    return existing.rsplit("/", 1)[-1] if existing else "mlflow"


def database_address(settings: Settings, host: str, port: int) -> DatabaseAddress:
    """Return the tracking database as servers reach it."""
    return DatabaseAddress(
        host=host,
        port=port,
        name=database_name(settings),
        user=settings.aws.database.user,
        password=DATABASE_PASSWORD,
        tls_ca=DATABASE_CA,
    )


def database_plan(settings: Settings) -> DatabasePlan:
    """Return the database to create."""
    wanted = settings.aws.database
    days = settings.backup.retention_days
    return DatabasePlan(
        instance_class=wanted.instance_class,
        storage_gib=wanted.storage,
        max_storage_gib=wanted.max_storage,
        multi_az=wanted.multi_az,
        retention_days=DEFAULT_RETENTION_DAYS if days is None else days,
        protect=protected(settings),
        name=database_name(settings),
        port=DATABASE_PORT,
        parameters=_parameters({
            "rds.force_ssl": ("1", False),
            "max_connections": (str(accepted_connections(settings)), True),
            "log_min_duration_statement": (str(_SLOW_STATEMENT_MS), False),
            # A crashed task must not keep its locks: the migration step would wait for them.
            "idle_in_transaction_session_timeout": (str(_IDLE_IN_TRANSACTION_MS), False),
        }),
    )  # fmt: skip


def removal_deadline(plan: DatabasePlan) -> int:
    """Return the seconds in which an instance is deleted, its last snapshot included."""
    return _REMOVAL_S + (_SNAPSHOT_S_PER_GIB * (plan.max_storage_gib or plan.storage_gib) if plan.protect else 0)


def own_instance(settings: Settings, naming: Naming) -> str:
    """Return the identifier of the instance that the stack makes; empty for an adopted database."""
    return naming.database() if settings.database.mode == "create" else ""


def final_snapshot(identifier: str, key_arn: str) -> str:
    """Return the name of the snapshot that is taken before deletion.

    A second backend of the same name must not collide with the first one's snapshot, so it ends in the six
    characters that AWS drew for this backend's KMS key.
    """
    return f"{identifier}-final-{key_arn[-6:].lower()}"


def _parameters(values: Mapping[str, tuple[str, bool]]) -> tuple[Parameter, ...]:
    return tuple(Parameter(name=name, value=value, static=static) for name, (value, static) in sorted(values.items()))


def _billed(inputs: Inputs) -> Iterator[Quantity]:
    instances = 2 if inputs.get("multiAz") is True else 1
    name = text(inputs.get("instanceClass"))
    yield Quantity(f"rds-instance:{name}", f"RDS instance {name}", "instance", HOUR, instances)
    kind = text(inputs.get("storageType") or "gp3")
    size = product(number(inputs.get("allocatedStorage")), instances)
    yield Quantity(f"rds-storage:{kind}", f"RDS storage ({kind})", "GiB", MONTH, size)
    if inputs.get("manageMasterUserPassword") is True:
        yield from one("secret", "Secrets Manager secret", "secret", MONTH)(inputs)


BILLING: Final[Mapping[str, Billing]] = {
    "aws:rds/instance:Instance": Billing(
        counted=_billed, by_use=("snapshots of the database, and backups beyond the database's size",)
    ),
}
