"""The alerts as Prometheus's rules, for a rule file or a PrometheusRule. Pure."""

from __future__ import annotations

import json
from string import Template
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.monitoring.alerts import ALERTS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.monitoring.alerts import Alert

GROUP: Final = "mlflow-backend"


def rules(own: Mapping[str, str]) -> dict[str, Any]:
    """Return the rules of the backend whose series have these labels; its alerts have them too."""
    selector = ", ".join(f"{name}={json.dumps(value)}" for name, value in sorted(own.items()))
    return {"groups": [{"name": GROUP, "rules": [_rule(alert, own, selector) for alert in ALERTS]}]}


def _rule(alert: Alert, own: Mapping[str, str], selector: str) -> dict[str, Any]:
    expression = Template(alert.expression).substitute(own=selector)
    return {
        "alert": f"Mlflow{alert.name}",
        "expr": f"{expression} {alert.comparison} {alert.threshold:g}",
        "for": f"{alert.for_s}s",
        "labels": {**own, "severity": alert.severity},
        "annotations": {"summary": alert.summary, "runbook": alert.runbook},
    }
