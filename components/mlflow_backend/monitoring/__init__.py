"""Alerts on a backend, and the documents that monitoring systems take. Pure."""

from mlflow_backend.monitoring.alerts import ALERTS, COMPONENT_DEGRADED_S, Alert
from mlflow_backend.monitoring.dashboard import dashboard
from mlflow_backend.monitoring.rules import rules

__all__ = ["ALERTS", "COMPONENT_DEGRADED_S", "Alert", "dashboard", "rules"]
