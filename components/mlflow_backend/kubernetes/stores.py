"""The wait for the stores that run in the cluster: until Postgres and Valkey are ready, else the cluster's own reasons.

The plugin waits for them too, and of a pod that no node takes, for want of a volume or of room, it says nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.kubernetes import reasons
from mlflow_backend.kubernetes.history import is_done
from mlflow_backend.kubernetes.naming import CACHE, DATABASE
from mlflow_backend.kubernetes.patience import Patience
from mlflow_backend.locator import from_document
from mlflow_backend.releases.targets import open_releases

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.kubernetes.platform import KubernetesPlatform

KINDS: Final = {DATABASE: "StatefulSet", CACHE: "Deployment"}


def wait(props: Mapping[str, Any]) -> None:
    """Wait until each store of `parts` is ready, together at most `deadline` seconds. Raises PlatformFailed."""
    platform = open_releases(from_document(props["locator"])).platform
    ends = platform.pace.clock() + float(props["deadline"])
    for part in props["parts"]:
        _await_ready(platform, part, ends=ends)


def _await_ready(platform: KubernetesPlatform, part: str, *, ends: float) -> None:
    api, naming, pace, patience = platform.api, platform.naming, platform.pace, Patience()
    kind, name = KINDS[part], naming.part(part)
    while True:
        found, now = api.get(kind, name), pace.clock()
        if found is not None and is_done(found):
            return
        owners, pods = [{**found, "kind": kind}] if found else [], api.list("Pod", naming.selector(part))
        why = patience.lost(found or {}, pods, now=now)
        if why is None and now >= ends:
            why = "its time is over" if found else "it is not there"
        if why is not None:
            lines = "\n".join(f"  - {reason}" for reason in reasons.gather(api, owners, pods, part=part))
            raise PlatformFailed(f"it does not become ready: {why}\n{lines}", code="store-not-ready", part=name)
        pace.pause(pace.poll_s)
