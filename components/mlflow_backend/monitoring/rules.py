"""The alerts as Prometheus's rules, for a rule file or a PrometheusRule. Pure."""

from __future__ import annotations

import json
from string import Template
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.monitoring.alerts import ALERTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mlflow_backend.monitoring.alerts import Alert

GROUP: Final = "mlflow-backend"


def rules(own: Mapping[str, str], recorded: Iterable[dict[str, Any]] = ()) -> dict[str, Any]:
    """Return the rules of the backend whose series have these labels; its alerts have them too.

    `recorded` are rules by which other systems' figures become the backend's; they come before the alerts on them.
    """
    return {"groups": [{"name": GROUP, "rules": [*recorded, *(_rule(alert, own) for alert in ALERTS)]}]}


def recording(name: str, expression: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """Return the rule by which an expression on other systems' figures becomes the backend's figure of this name."""
    return {"record": f"mlflow_backend_{name}", "expr": expression, "labels": dict(labels)}


def bound(expression: str, own: Mapping[str, str]) -> str:
    """Return an expression whose `$own` selects the series with these labels."""
    selector = ", ".join(f"{name}={json.dumps(value)}" for name, value in sorted(own.items()))
    return Template(expression).substitute(own=selector)


def _rule(alert: Alert, own: Mapping[str, str]) -> dict[str, Any]:
    return {
        "alert": f"Mlflow{alert.name}",
        "expr": f"{bound(alert.expression, own)} {alert.comparison} {alert.threshold:g}",
        "for": f"{alert.for_s}s",
        "labels": {**own, "severity": alert.severity},
        "annotations": {"summary": alert.summary, "runbook": alert.runbook},
    }
