"""The ecs target's own program without what waits for a running server: the subject is the provider that makes it.

Preflight, migration, rollout, verification and ledger are known values here; every AWS resource, and the secrets that
the target makes by itself, are the real ones.
"""

from __future__ import annotations

from typing import Any

import pulumi

from components.ecs import backend, program
from components.settings import from_pulumi

IMAGE = f"123456789012.dkr.ecr.eu-west-1.amazonaws.com/mlflow-backend@sha256:{'0' * 64}"


class Known(pulumi.ComponentResource):
    """Stands where a resource waits for a server."""

    def __init__(self, name: str, *_: Any, opts: pulumi.ResourceOptions | None = None, **__: Any) -> None:
        """Take anything."""
        super().__init__("test:index:Known", name, None, opts)
        values: dict[str, Any] = {
            "pinnedImage": pulumi.Config("test").get("image") or IMAGE,
            "findings": [],
            "applied": 0,
            "head": "abc",
            "verdict": "pass",
            "finished": "2026-11-21T00:00:00Z",
            "table": "",
            "reportPath": "",
        }
        for key, value in values.items():
            setattr(self, key, pulumi.Output.from_input(value))
        self.register_outputs({})


for waits in ("Preflight", "Migration", "Rollout", "Verification", "LedgerEntry", "Hold"):
    setattr(backend, waits, Known)
for key, value in program.build(from_pulumi(pulumi.Config())).outputs().exports().items():
    pulumi.export(key, value)
