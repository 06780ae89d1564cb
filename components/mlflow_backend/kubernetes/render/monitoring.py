"""What the Prometheus Operator takes: how the servers' figures are asked for, and the alerts on them. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.kubernetes.naming import SERVER
from mlflow_backend.kubernetes.render.server import METRICS
from mlflow_backend.monitoring import rules

if TYPE_CHECKING:
    from mlflow_backend.kubernetes.naming import Naming
    from mlflow_backend.kubernetes.render.pods import Document
    from mlflow_backend.settings import Settings

GROUP, VERSION = "monitoring.coreos.com", "v1"
KINDS: Final = {"ServiceMonitor": "servicemonitors", "PrometheusRule": "prometheusrules"}
"""Kind of each document -> the resource that the API server knows it by, if the operator is there."""
_INTERVAL: Final = "30s"


def documents(settings: Settings, naming: Naming) -> dict[str, Document]:
    """Return the documents by their kind."""
    return {
        "ServiceMonitor": _document(
            settings,
            naming,
            "ServiceMonitor",
            {
                # The series then have the Service's name as their job.
                "selector": {"matchLabels": naming.selector(SERVER)},
                "endpoints": [{"port": METRICS, "interval": _INTERVAL}],
            },
        ),
        "PrometheusRule": _document(
            settings,
            naming,
            "PrometheusRule",
            dict(rules({"job": naming.prefix, "namespace": naming.namespace})),
        ),
    }


def _document(settings: Settings, naming: Naming, kind: str, spec: Document) -> Document:
    metadata = naming.metadata(naming.part("monitoring"), SERVER)
    metadata["labels"] |= settings.kubernetes.monitoring.labels
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": kind, "metadata": metadata, "spec": spec}
