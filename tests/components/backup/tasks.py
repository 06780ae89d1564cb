"""What a task that takes backups finds, for the tests of it on each store: a release, and a database tool."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mlflow_backend.migrate.tool import parse_manifest
from mlflow_backend.releases.records import VerifiedRelease
from mlflow_backend.schema import Heads
from tests.components.backup.manifests import digest

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend.releases.records import Dump


def release(revision: str) -> VerifiedRelease:
    """Return a verified release."""
    return VerifiedRelease(
        target="kubernetes",
        revision=revision,
        mlflow_version="3.17.2",
        heads=Heads(tracking="a", auth="b"),
        settings_hash=revision,
        verification_id="v",
        verdict="pass",
        image_digest=f"sha256:{revision}",
    )


class Tool:
    """A database tool that dumps two small texts, as the real one lays them out."""

    def __init__(self, put: Callable[[str, bytes], object]) -> None:
        """Take what writes an object by its address."""
        self._put = put

    def dump(self, to: str) -> Dump:
        """Write the dumps and their manifest."""
        address = f"{to}/20261129T020000Z-0a1b2c"
        databases = {
            name: {"object": f"{name}.dump", "sha256": digest(name), "bytes": len(name), "head": "h", "row_counts": {}}
            for name in ("tracking", "auth")
        }
        found = {"address": address, "mlflow_version": "3.17.2", "made_at": "2026-11-29T02:00:00+00:00"}
        samples = {"tracking": {"samples": {"experiments": digest("rows")}}, "auth": {}}
        written = {f"{name}.dump": name for name in databases} | {"manifest.json": json.dumps({"databases": samples})}
        for name, text in written.items():
            self._put(f"{address}/{name}", text.encode())
        return parse_manifest({**found, "databases": databases})
