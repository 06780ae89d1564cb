"""A backend on a cluster registered under Pulumi's mocks, with a cluster that answers as a real one would."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.findings import passed
from mlflow_backend.kubernetes import backend
from mlflow_backend.kubernetes.backend import KubernetesBackend, KubernetesBackendArgs
from mlflow_backend.kubernetes.render.monitoring import KINDS
from tests.components.kubernetes.stacks import STACK, settings_of
from tests.components.registrations import FakePlatform, registered_with

if TYPE_CHECKING:
    from mlflow_backend.releases.pins import PinnedRelease
    from tests.components.registrations import Registered

SAME_URNS = {"prefix": "cluster"}
"""Variants that differ from another in values alone."""
ADDED: dict[str, dict[str, Any]] = {
    "KubernetesServerSecrets": {"version": "v1", "certificate": "c1", "cache": "p1", "keys": "k1"},
    "KubernetesRollout": {"revision": "6f7c9d5b4"},
}
"""What a cluster adds to a resource of a kind."""


def record(
    variant: str,
    *,
    preview: bool = False,
    pinned: tuple[PinnedRelease, dict[str, Any]] | tuple[None, None] = (None, None),
) -> list[Registered]:
    """Register a variant's backend and return everything that was registered."""
    args = KubernetesBackendArgs(settings=settings_of(variant))
    operated = args.settings.kubernetes.monitoring.namespace is not None
    findings = [passed(kind, "", "") for kind in KINDS if operated]
    with pytest.MonkeyPatch.context() as patch:
        # An update is refused without it.
        patch.setenv("TRAINER_PASSWORD", "the-password-of-a-trainer")
        patch.setattr(backend, "_inspect", lambda *_: (findings, *pinned))
        platform = FakePlatform(lambda _, kind: ADDED.get(kind, {}), preview=preview)
        return registered_with(lambda: KubernetesBackend("mlflow", args), platform, stack=STACK, preview=preview)
