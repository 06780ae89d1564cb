"""The durations of a revision's start, and of its migration before that: one small object each in the store.

Who starts a revision writes it; a report and a ledger's record hold what was written.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.releases.stores import ROOT

if TYPE_CHECKING:
    from mlflow_backend.releases.stores import Store


@dataclass(frozen=True, kw_only=True)
class Durations:
    """Seconds; None for what is not known, or was not done.

    `start_s` is from the start to healthy. `migration_s` is the whole step: waiting for writers, dump and upgrade.
    """

    start_s: float | None = None
    migration_s: float | None = None


def keep(store: Store, revision: str, durations: Durations) -> None:
    """Write how long a revision took; what is not known now stays as it was. Raises PlatformFailed."""
    known = {name: value for name, value in asdict(durations).items() if value is not None}
    store.replace(_key(revision), json.dumps({**asdict(kept(store, revision)), **known}).encode())


def kept(store: Store, revision: str) -> Durations:
    """Return how long a revision took, as far as that can be read: no verdict depends on it."""
    try:
        document = json.loads(store.read([_key(revision)]).get(_key(revision), b"{}"))
        start_s, migration_s = document.get("start_s"), document.get("migration_s")
    except (PlatformFailed, ValueError, AttributeError):
        return Durations()
    return Durations(start_s=_seconds(start_s), migration_s=_seconds(migration_s))


def _key(revision: str) -> str:
    return f"{ROOT}/durations/{revision}.json"


def _seconds(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and value >= 0 else None
