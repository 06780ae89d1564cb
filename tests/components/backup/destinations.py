"""Destinations with whole backups in them, for the tests of what is read of one and what is deleted."""

from __future__ import annotations

import os
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from mlflow_backend.backup import catalogue, manifest
from mlflow_backend.backup.artifacts import CONTENTS, content_key, encode_index
from mlflow_backend.backup.destination import FolderDestination
from mlflow_backend.backup.manifest import ArtifactIndex, ArtifactMode, Part
from tests.components.backup import manifests
from tests.components.backup.manifests import artifact, digest

if TYPE_CHECKING:
    from mlflow_backend.backup.destination import Destination, Listed
    from mlflow_backend.backup.manifest import Manifest

OLD = datetime.now(UTC) - timedelta(days=100)
SHARED = artifact("1/run/artifacts/shared.bin", "shared")


def kept(destination: Destination, backup: str, *contents: str, taken_at: datetime = OLD) -> Manifest:
    """Write a whole backup with these artifacts, and the shared one, as old as it says it is."""
    artifacts = [SHARED, *(artifact(f"1/{text}", text) for text in contents)]
    objects = {f"{catalogue.folder(backup)}/{name}": name for name in ("tracking.dump", "auth.dump", "settings.yaml")}
    objects |= {f"{catalogue.folder(backup)}/keys.sealed": "keys"}
    for key, text in {**objects, **{content_key(digest(text)): text for text in ("shared", *contents)}}.items():
        destination.write(key, lambda write, text=text: write(text.encode()))  # type: ignore[misc]
    index = destination.write(
        f"{catalogue.folder(backup)}/artifacts.jsonl", lambda write: write(encode_index(artifacts))
    )
    base = manifests.manifest()
    found = replace(
        base,
        id=backup,
        taken_at=taken_at,
        finished_at=taken_at,
        databases={
            name: replace(each, sha256=digest(f"{name}.dump"), size_bytes=len(f"{name}.dump"))
            for name, each in base.databases.items()
        },
        settings=Part(object="settings.yaml", sha256=digest("settings.yaml"), size_bytes=13),
        artifacts=ArtifactIndex(
            mode=ArtifactMode.COPY,
            index=Part(object="artifacts.jsonl", sha256=index.sha256, size_bytes=index.size_bytes),
            files=len(artifacts),
            size_bytes=sum(each.size_bytes for each in artifacts),
        ),
    )
    destination.create(f"{catalogue.folder(backup)}/{manifest.MANIFEST}", manifest.encode(found))
    if isinstance(destination, FolderDestination):
        for each in every(destination):
            os.utime(destination.path(each.key), (taken_at.timestamp(),) * 2)
    return found


def every(destination: Destination) -> list[Listed]:
    """Return every object."""
    return [each for prefix in (catalogue.BACKUPS, CONTENTS) for each in destination.listing(prefix)]


def identifier(number: int) -> str:
    """Return the id of a backup."""
    return f"2026082{number}T020000Z-0a1b2c"
