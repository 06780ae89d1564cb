"""The dashboard of a backend for Grafana: how it serves, what it is used for, and a graph for each alert. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.monitoring.alerts import ALERTS
from mlflow_backend.monitoring.rules import bound

if TYPE_CHECKING:
    from collections.abc import Mapping

# Grafana takes forty characters.
_UID_DIGITS: Final = 16
# Grafana's grid has 24 columns.
_WIDTH, _HEIGHT, _COLUMNS = 8, 8, 3
_SCHEMA: Final = 39
_SOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}
_SECONDS: Final = "mlflow_backend_http_request_duration_seconds_bucket{$own}"
_COUNT: Final = "mlflow_backend_http_requests_total{$own}"


@dataclass(frozen=True, kw_only=True)
class Panel:
    """One graph: the name of each line and its query, Grafana's name of the unit, and where an alert fires."""

    title: str
    queries: Mapping[str, str]
    unit: str = "short"
    limit: float | None = field(default=None)


def _quantile(share: float) -> str:
    return f"histogram_quantile({share}, sum by (le) (rate({_SECONDS}[5m])))"


PANELS: Final = (
    Panel(title="Requests", unit="reqps", queries={"{{status}}": f"sum by (status) (rate({_COUNT}[5m]))"}),
    Panel(
        title="Busiest routes",
        unit="reqps",
        queries={"{{method}} {{route}}": f"topk(10, sum by (method, route) (rate({_COUNT}[5m])))"},
    ),
    Panel(
        title="Time to answer",
        unit="s",
        queries={f"p{share:.0%}".rstrip("%"): _quantile(share) for share in (0.5, 0.95, 0.99)},
    ),
    Panel(title="Requests being answered", queries={"requests": "sum(mlflow_backend_http_requests_in_flight{$own})"}),
    Panel(title="Components", queries={"{{component}}": "min by (component) (mlflow_backend_component_up{$own})"}),
    Panel(title="Workers", queries={"workers": "sum(mlflow_backend_workers{$own})"}),
    Panel(title="Experiments, runs and models", queries={"{{kind}}": "max by (kind) (mlflow_backend_objects{$own})"}),
    Panel(
        title="Created in a day",
        queries={"{{kind}}": "max by (kind) (increase(mlflow_backend_objects_created_total{$own}[1d]))"},
    ),
    Panel(
        title="Size of databases",
        unit="bytes",
        queries={"{{database}}": "max by (database) (mlflow_backend_database_size_bytes{$own})"},
    ),
    Panel(
        title="Largest tables",
        unit="bytes",
        queries={"{{table}}": "topk(10, max by (table) (mlflow_backend_table_bytes{$own}))"},
    ),
    Panel(
        title="Connections to the database",
        queries={
            "{{state}}": "max by (state) (mlflow_backend_database_connections{$own})",
            "accepted": "max(mlflow_backend_database_connections_limit{$own})",
        },
    ),
    Panel(
        title="Temporary space",
        unit="bytes",
        queries={"{{state}}": "sum by (state) (mlflow_backend_temporary_bytes{$own})"},
    ),
)


def panels() -> tuple[Panel, ...]:
    """Return all graphs: those of PANELS, and one for each alert."""
    watched = (
        Panel(title=alert.name, queries={alert.name: alert.expression}, limit=alert.threshold) for alert in ALERTS
    )
    return (*PANELS, *watched)


def dashboard(own: Mapping[str, str]) -> dict[str, Any]:
    """Return the dashboard of the backend whose series have these labels, as Grafana imports it."""
    return {
        # Two backends in one Grafana have a dashboard each.
        "uid": f"mlflow-{_digest(own)}",
        "title": f"MLflow backend {' '.join(own.values())}",
        "tags": ["mlflow"],
        "schemaVersion": _SCHEMA,
        "editable": True,
        "refresh": "30s",
        "time": {"from": "now-6h", "to": "now"},
        "templating": {
            "list": [{"name": "datasource", "type": "datasource", "query": "prometheus", "label": "Source"}]
        },
        "panels": [_panel(number, panel, own) for number, panel in enumerate(panels())],
    }


def _digest(own: Mapping[str, str]) -> str:
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()[:_UID_DIGITS]


def _panel(number: int, panel: Panel, own: Mapping[str, str]) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit}
    if panel.limit is not None:
        steps = [{"color": "green", "value": None}, {"color": "red", "value": panel.limit}]
        defaults |= {
            "thresholds": {"mode": "absolute", "steps": steps},
            "custom": {"thresholdsStyle": {"mode": "line"}},
        }
    return {
        "id": number + 1,
        "type": "timeseries",
        "title": panel.title,
        "datasource": _SOURCE,
        "gridPos": {
            "h": _HEIGHT,
            "w": _WIDTH,
            "x": _WIDTH * (number % _COLUMNS),
            "y": _HEIGHT * (number // _COLUMNS),
        },
        "fieldConfig": {"defaults": defaults, "overrides": []},
        "targets": [
            {"refId": chr(ord("A") + index), "datasource": _SOURCE, "expr": bound(query, own), "legendFormat": legend}
            for index, (legend, query) in enumerate(panel.queries.items())
        ],
    }
