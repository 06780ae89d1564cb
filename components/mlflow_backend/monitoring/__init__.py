"""Alerts on a backend, and the documents that monitoring systems take. Pure."""

from mlflow_backend.monitoring.alerts import (
    ALERTS,
    BACKUP_OLD_H,
    CERTIFICATE_DAYS,
    COMPONENT_DEGRADED_S,
    VERIFICATION_OLD_H,
    Alert,
)
from mlflow_backend.monitoring.dashboard import dashboard
from mlflow_backend.monitoring.rules import rules

__all__ = [
    "ALERTS",
    "BACKUP_OLD_H",
    "CERTIFICATE_DAYS",
    "COMPONENT_DEGRADED_S",
    "VERIFICATION_OLD_H",
    "Alert",
    "dashboard",
    "rules",
]
