"""The figure of a public URL's certificate in a cluster, recorded from the one that cert-manager has of it. Pure."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.monitoring.rules import recording

if TYPE_CHECKING:
    from collections.abc import Mapping

_END: Final = "certmanager_certificate_expiration_timestamp_seconds"


def recorded(own: Mapping[str, str], secret: str, *, namespace: str) -> dict[str, Any]:
    """Return the recording rule of a backend whose series have the labels `own`.

    cert-manager makes a Certificate by an Ingress under the name of its Secret. Prometheus keeps that one's namespace
    as `exported_namespace`, unless it is set up to honor labels.
    """
    name, where = json.dumps(secret), json.dumps(namespace)
    series = (
        f"{_END}{{name={name}, {label}={where}}}"
        for label in ("exported_namespace", 'exported_namespace="", namespace')
    )
    return recording("certificate_end_time_seconds", f"min({' or '.join(series)})", {**own, "part": "stack"})
