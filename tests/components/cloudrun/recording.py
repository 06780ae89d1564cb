"""A backend on Cloud Run registered under Pulumi's mocks, with a project that answers as Google would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.cloudrun import backend
from mlflow_backend.cloudrun.backend import CloudRunBackend, CloudRunBackendArgs, Found
from tests.components.cloudrun.stacks import NAMING, VARIANTS, changed
from tests.components.registrations import FakePlatform, registered_with

if TYPE_CHECKING:
    from pulumi.runtime.mocks import MockResourceArgs

    from tests.components.registrations import Registered

DEPLOYED = list(VARIANTS)
SAME_URNS = {"cold": "basic", "old": "basic", "jobs": "basic"}
"""Variants that differ from another in values alone."""
VERSION = "1"
"""Of each secret that is drawn."""
_NEW = Found(service=None, pinned=None, wanted=frozenset())


def record(variant: str, *, preview: bool = False, found: Found = _NEW, **changes: Any) -> list[Registered]:
    """Register a variant's backend and return everything that was registered."""
    args = CloudRunBackendArgs(settings=changed(variant, changes))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(backend, "_inspect", lambda *_: ((), found))
        platform = FakePlatform(_added, preview=preview)
        return registered_with(lambda: CloudRunBackend("mlflow", args), platform, stack=NAMING.stack, preview=preview)


def _added(args: MockResourceArgs, kind: str) -> dict[str, Any]:
    added: dict[str, dict[str, Any]] = {
        "GcpServerSecrets": {"versions": dict.fromkeys(args.inputs.get("names", []), VERSION), "fingerprint": "f"},
        "DatabaseInstance": {"privateIpAddress": "10.1.0.3", "connectionName": "c"},
        "Instance": {"host": "10.1.0.4", "port": 6378},
    }
    return added.get(kind, {})
