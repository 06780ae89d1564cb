"""The artifact roots of experiments, runs and models, and those that a newer MLflow refuses. Pure."""

from __future__ import annotations

import re
from collections import Counter
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from mlflow_backend.server import MlflowVersion

_ROOT: Final = r"^[A-Za-z][A-Za-z0-9+.-]*://[^/]*"
"""Scheme, and bucket or host, as the database tool counts them. `mlflow-artifacts:/1` and a path name none."""
REFUSED_SINCE: Final = (3, 17, 0)
"""The first release that connects to no host which a stored location names (GHSA-mr9f-g8qf-4w4j)."""
HOST_ADDRESSED: Final = frozenset(
    ("ftp", "sftp", "hdfs", "viewfs", "http", "https", "mlflow-artifacts", "r2", "b2", "abfss")
)
"""Schemes by which a location names a host: those of MLflow 3.17.2 (store/artifact/host_policy.py)."""


def roots(locations: Iterable[str]) -> Mapping[str, int]:
    """Return how many of the locations have which root, empty for those that name none."""
    return dict(Counter(found[0] if (found := re.match(_ROOT, location)) else "" for location in locations))


def names_host(root: str) -> bool:
    """Whether MLflow would connect to a host that a root names; `mlflow-artifacts:` without a host names none."""
    scheme, _, host = root.partition("://")
    return scheme in HOST_ADDRESSED and (bool(host) or scheme != "mlflow-artifacts")


def refused(counts: Mapping[str, int], *, served: MlflowVersion, to: MlflowVersion) -> Mapping[str, int]:
    """Return the roots that the new version refuses and the old one does not, without user and port."""
    if not served < REFUSED_SINCE <= to:
        return {}
    return shown({root: count for root, count in counts.items() if names_host(root)})


def bound(counts: Mapping[str, int]) -> Mapping[str, int]:
    """Return the roots that rows keep for good, whatever the settings say later."""
    return shown({root: count for root, count in counts.items() if root})


def outside(counts: Mapping[str, int], *, store: str) -> Mapping[str, int]:
    """Return the roots that rows keep for good and that are not the bucket of the address `store`."""
    (own,) = shown(roots([store]))
    return {root: count for root, count in bound(counts).items() if root != own}


def shown(counts: Mapping[str, int]) -> Mapping[str, int]:
    """Return roots as they are printed: what stands before an @ may be a password."""
    found: Counter[str] = Counter()
    for root, count in counts.items():
        scheme, _, host = root.partition("://")
        found[f"{scheme}://{re.sub(r':[0-9]*$', '', host.rpartition('@')[2])}"] += count
    return dict(sorted(found.items()))
