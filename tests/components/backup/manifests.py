"""A whole backup with access on, for the tests of what is decided about backups."""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime

from mlflow_backend.backup.artifacts import Artifact
from mlflow_backend.backup.manifest import ArtifactIndex, ArtifactMode, Manifest, Part
from mlflow_backend.releases.records import DumpedDatabase

TAKEN = datetime(2026, 11, 28, 2, 0, tzinfo=UTC)
ID = "20261128T020000Z-0a1b2c"


def digest(text: str) -> str:
    """Return the SHA-256 of a text."""
    return hashlib.sha256(text.encode()).hexdigest()


def artifact(path: str, content: str, *, stamp: str = "1") -> Artifact:
    """Return an artifact that holds `content`."""
    return Artifact(path=path, size_bytes=len(content), stamp=stamp, sha256=digest(content))


def manifest() -> Manifest:
    """Return the manifest of a backup of two databases, two artifacts and the keys."""
    return Manifest(
        id=ID,
        stack="local",
        target="local",
        taken_at=TAKEN,
        finished_at=TAKEN.replace(minute=5),
        mlflow_version="3.17.2",
        environment_lock=digest("lock"),
        identity={"database": "d1", "store": "s1"},
        databases={
            "tracking": DumpedDatabase(
                object="tracking.dump", sha256=digest("tracking"), size_bytes=8, head="t2", rows={"runs": 3}
            ),
            "auth": DumpedDatabase(object="auth.dump", sha256=digest("auth"), size_bytes=4, head="a1"),
        },
        samples={"runs": "3 rows, 17"},
        artifacts=ArtifactIndex(
            mode=ArtifactMode.COPY,
            index=Part(object="artifacts.jsonl", sha256=digest("index"), size_bytes=5),
            files=2,
            size_bytes=7,
        ),
        settings=Part(object="settings.yaml", sha256=digest("settings"), size_bytes=8),
        keys=Part(object="keys.sealed", sha256=digest("keys"), size_bytes=4),
    )
