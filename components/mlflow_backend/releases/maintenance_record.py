"""The record of a backend's last maintenance by command, in its own store: no platform's scheduler knows of that."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.releases.stores import ROOT

if TYPE_CHECKING:
    from mlflow_backend.releases.stores import Store

_KEY: Final = f"{ROOT}/maintenance.json"


def keep(store: Store, *, failure: str = "") -> None:
    """Record that a maintenance ended now: it was done, unless `failure` says why it was not."""
    store.replace(_KEY, json.dumps({"ended": datetime.now(UTC).isoformat(), "failure": failure}).encode())


def last(store: Store) -> str | None:
    """Return in a few words how the last one went; None if none was recorded. Raises PlatformFailed."""
    content = store.read([_KEY]).get(_KEY)
    if content is None:
        return None
    try:
        found = json.loads(content)
        ended, failure = datetime.fromisoformat(found["ended"]), str(found["failure"])
    except (ValueError, KeyError, TypeError):
        raise PlatformFailed(
            "it is not what this project wrote there",
            code="maintenance-record-malformed",
            fix="Delete it; the next maintenance writes it anew",
            part=_KEY,
        ) from None
    return f"failed {ended:%F %T}Z: {failure}" if failure else f"done {ended:%F %T}Z"
