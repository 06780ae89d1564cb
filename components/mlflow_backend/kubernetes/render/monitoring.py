"""Documents of the Prometheus Operator: the scrape of the servers' figures, alerts on them, a dashboard. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend import monitoring
from mlflow_backend.kubernetes.naming import SERVER, VERIFICATION
from mlflow_backend.kubernetes.render.scheduled import scheduled
from mlflow_backend.kubernetes.render.server import METRICS
from mlflow_backend.monitoring import cert_manager, cronjobs

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow_backend.kubernetes.naming import Naming
    from mlflow_backend.kubernetes.render.pods import Document
    from mlflow_backend.settings import Settings

GROUP, VERSION = "monitoring.coreos.com", "v1"
KINDS: Final = {"ServiceMonitor": "servicemonitors", "PrometheusRule": "prometheusrules"}
"""Kind of each document -> the resource that the API server knows it by, if the operator is there."""
_INTERVAL: Final = "30s"
DASHBOARD: Final = "dashboard"
# What kube-prometheus-stack gives its sidecar (its values, grafana.sidecar.dashboards.label).
_SIDECAR: Final = "grafana_dashboard"


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
            monitoring.rules(_own(naming), _recorded(settings, naming)),
        ),
    }


def dashboard(naming: Naming) -> Document:
    """Return the ConfigMap of the dashboard, by the label that the sidecar of the operator's Grafana looks for."""
    metadata = naming.metadata(naming.part(DASHBOARD), SERVER)
    metadata["labels"] |= {_SIDECAR: "1"}
    content = json.dumps(monitoring.dashboard(_own(naming)), sort_keys=True)
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": metadata,
        "data": {f"{naming.namespace}-{naming.prefix}.json": content},
    }


def _recorded(settings: Settings, naming: Naming) -> Iterator[dict[str, Any]]:
    cron_jobs = {work: naming.part(work) for work in scheduled(settings)}
    own, namespace = _own(naming), naming.namespace
    yield from cronjobs.recorded(own, cron_jobs, namespace=namespace, verification=VERIFICATION)
    if secret := settings.kubernetes.ingress.tls_secret:
        yield cert_manager.recorded(own, secret, namespace=namespace)


def _own(naming: Naming) -> dict[str, str]:
    return {"job": naming.prefix, "namespace": naming.namespace}


def _document(settings: Settings, naming: Naming, kind: str, spec: Document) -> Document:
    metadata = naming.metadata(naming.part("monitoring"), SERVER)
    metadata["labels"] |= settings.kubernetes.monitoring.labels
    return {"apiVersion": f"{GROUP}/{VERSION}", "kind": kind, "metadata": metadata, "spec": spec}
