"""Where experiments and model versions keep their artifacts, and which of these places a newer MLflow refuses. Pure."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mlflow_backend.server import MlflowVersion

REFUSED_SINCE: Final = (3, 17, 0)
"""The first release that connects to no host which a stored location names (GHSA-mr9f-g8qf-4w4j)."""
HOST_ADDRESSED: Final = frozenset(
    ("ftp", "sftp", "hdfs", "viewfs", "http", "https", "mlflow-artifacts", "r2", "b2", "abfss")
)
"""Schemes by which a location names a host: those of MLflow 3.17.2 (store/artifact/host_policy.py)."""


def names_host(location: str) -> bool:
    """Whether MLflow would connect to a host that the location names; `mlflow-artifacts:/path` names none."""
    parts = urlsplit(location)
    return parts.scheme in HOST_ADDRESSED and not (parts.scheme == "mlflow-artifacts" and not parts.netloc)


def refused(locations: Iterable[str], *, served: MlflowVersion, to: MlflowVersion) -> Mapping[str, int]:
    """Return how many of the locations the new version refuses and the old one does not, by scheme and host."""
    if not served < REFUSED_SINCE <= to:
        return {}
    parts = (urlsplit(location) for location in locations if names_host(location))
    return dict(Counter(f"{part.scheme}://{part.hostname or ''}" for part in parts))
