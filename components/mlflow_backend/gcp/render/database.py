"""The Postgres instance on Cloud SQL: its body, and its address as servers take it. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from mlflow_backend.gcp.render.secrets import DATABASE_PASSWORD
from mlflow_backend.report.quantities import HOUR, MONTH, Billing, Inputs, Quantity, number, product, text
from mlflow_backend.server import DatabaseAddress
from mlflow_backend.settings.budget import accepted_connections

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow_backend.gcp.naming import Naming
    from mlflow_backend.settings import Settings

VERSION: Final = "POSTGRES_17"
"""The image's client programs (server/Dockerfile) dump and restore up to this major version."""
ADMIN_USER: Final = "postgres"
DATABASE_PORT: Final = 5432
# A crashed job must not keep its locks: the migration step would wait for them.
_IDLE_IN_TRANSACTION_MS: Final = 300_000
_SLOW_STATEMENT_MS: Final = 1000
# sqladmin.v1, BackupConfiguration.transactionLogRetentionDays: 1 to 7.
_LONGEST_LOG_DAYS: Final = 7
_RETENTION_DAYS: Final = 7


def protected(settings: Settings) -> bool:
    """Whether what holds data may not be deleted: yes, unless settings say no."""
    return settings.backup.protect is not False


def database_name(settings: Settings) -> str:
    """Return the name of the tracking database."""
    existing = settings.database.existing
    return existing.rsplit("/", 1)[-1] if existing else "mlflow"


def database_address(settings: Settings, host: str) -> DatabaseAddress:
    """Return the database as servers reach it; a created one by its private address."""
    existing = settings.database.existing
    return DatabaseAddress(
        host=host,
        port=(urlsplit(existing).port if existing else None) or DATABASE_PORT,
        name=database_name(settings),
        user=settings.gcp.database.user,
        password=DATABASE_PASSWORD,
    )


def instance(settings: Settings, naming: Naming, *, network: str) -> dict[str, Any]:
    """Return the body of the instance. `network` is the resource name of the VPC whose private addresses it has."""
    wanted, days = settings.gcp.database, settings.backup.retention_days
    kept = _RETENTION_DAYS if days is None else days
    disk: dict[str, Any] = {"dataDiskSizeGb": str(wanted.storage), "dataDiskType": "PD_SSD"}
    if wanted.max_storage is not None:
        disk |= {"storageAutoResize": True, "storageAutoResizeLimit": str(wanted.max_storage)}
    else:
        disk["storageAutoResize"] = False
    return {
        "name": naming.database(),
        "region": naming.region,
        "databaseVersion": VERSION,
        "settings": {
            "tier": wanted.tier,
            # The newer edition has other tiers, and is the default of newer versions.
            "edition": "ENTERPRISE",
            "availabilityType": "REGIONAL" if wanted.regional else "ZONAL",
            **disk,
            "backupConfiguration": _backups(kept),
            # Backups outlive the instance exactly if deleting it is refused first.
            "retainBackupsOnDelete": protected(settings),
            "deletionProtectionEnabled": protected(settings),
            "ipConfiguration": {
                "ipv4Enabled": False,
                "privateNetwork": network,
                "sslMode": "ENCRYPTED_ONLY",
                # A certificate authority of the instance's own: whoever has a certificate of it is the instance.
                "serverCaMode": "GOOGLE_MANAGED_INTERNAL_CA",
            },
            "databaseFlags": [
                {"name": name, "value": value}
                for name, value in (
                    ("idle_in_transaction_session_timeout", str(_IDLE_IN_TRANSACTION_MS)),
                    ("log_min_duration_statement", str(_SLOW_STATEMENT_MS)),
                    # Said, because Cloud SQL's default follows from the tier and changes with it.
                    ("max_connections", str(accepted_connections(settings))),
                )
            ],
            "userLabels": naming.labels(settings.tags),
        },
    }


def _backups(days: int) -> dict[str, Any]:
    if not days:
        return {"enabled": False, "pointInTimeRecoveryEnabled": False}
    return {
        "enabled": True,
        "pointInTimeRecoveryEnabled": True,
        "transactionLogRetentionDays": min(days, _LONGEST_LOG_DAYS),
        # One a day.
        "backupRetentionSettings": {"retentionUnit": "COUNT", "retainedBackups": days},
    }


def _billed(inputs: Inputs) -> Iterator[Quantity]:
    settings = inputs.get("settings") or {}
    zones = 2 if settings.get("availabilityType") == "REGIONAL" else 1
    tier = text(settings.get("tier"))
    yield Quantity(f"cloudsql-instance:{tier}", f"Cloud SQL instance {tier}", "instance", HOUR, zones)
    size = product(number(settings.get("diskSize")), zones)
    yield Quantity("cloudsql-storage", "Cloud SQL storage (SSD)", "GB", MONTH, size)


BILLING: Final[Mapping[str, Billing]] = {
    "gcp:sql/databaseInstance:DatabaseInstance": Billing(counted=_billed, by_use=("backups of the database",)),
}
