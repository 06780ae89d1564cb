"""The taking of a backup: databases first, artifacts after them, the manifest last.

So a run that is logged meanwhile leaves an artifact that no database names, and never the opposite.
"""

from __future__ import annotations

import contextlib
import json
import secrets
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mlflow_backend.backup import age, catalogue, manifest
from mlflow_backend.backup.artifacts import Artifact, CopyPlan, content_key, encode_index, plan_copy
from mlflow_backend.backup.manifest import ArtifactIndex, ArtifactMode, Manifest, Part
from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.releases.stores import STAGING

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from mlflow_backend.backup.artifacts import StoredFile
    from mlflow_backend.backup.destination import Destination
    from mlflow_backend.backup.source import Source
    from mlflow_backend.releases.records import DumpedDatabase

    Say = Callable[[str], None]

LOCK = "backup"
BY = "scripts.backup"
INDEX = "artifacts.jsonl"
SETTINGS = "settings.yaml.age"
KEYS = "keys.json.age"


@dataclass(frozen=True, kw_only=True)
class _Begun:
    """A backup in progress."""

    id: str
    source: Source
    destination: Destination
    public_keys: Sequence[str]

    def seal(self, name: str, pieces: Iterator[bytes], *, public_keys: Sequence[str] = ()) -> Part:
        """Write one sealed object of the backup's folder."""
        keys = public_keys or self.public_keys
        written = self.destination.write(
            f"{catalogue.folder(self.id)}/{name}", lambda write: age.seal(pieces, write, keys)
        )
        return Part(object=name, sha256=written.sha256, size_bytes=written.size_bytes)


def create(source: Source, destination: Destination, *, recovery_key: str, say: Say) -> Manifest:
    """Take a backup and return its manifest; `recovery_key` is the public one.

    Raises Refused if no revision serves or another backup is in progress, PlatformFailed if a store or the database
    fails: what was written so far is then no backup.
    """
    served = source.served()
    if served is None:
        raise Refused("No revision serves.", code="backup-nothing-serves", fix="Deploy it: `make up`.")
    with source.store.locked(LOCK, by=BY), _staged(source):
        # Taken before the snapshot, so that the age of what is restored is never said to be less than it is.
        now = datetime.now(UTC)
        begun = _Begun(
            id=f"{now:%Y%m%dT%H%M%SZ}-{secrets.token_hex(3)}",
            source=source,
            destination=destination,
            public_keys=[key for key in (source.vault.public_key(), recovery_key) if key],
        )
        destination.clear_unfinished()
        before = catalogue.read(destination).newest
        say(f"backup {begun.id}: dumping the databases")
        dump = source.tool(served.mlflow_version).dump(source.staging)
        databases = {name: _sealed_dump(begun, dump.id, name, each) for name, each in dump.databases.items()}
        index = _copied(begun, _plan(source, destination, before), say)
        found = Manifest(
            id=begun.id,
            stack=source.stack,
            target=source.target,
            taken_at=now,
            finished_at=datetime.now(UTC),
            mlflow_version=served.mlflow_version,
            image_digest=served.image_digest,
            environment_lock=served.environment_lock,
            identity=source.ledger.state().identity or {},
            databases=databases,
            samples=_samples(source, dump.id),
            artifacts=index,
            settings=begun.seal(SETTINGS, iter([source.settings])),
            keys=begun.seal(KEYS, iter([_encoded(source.vault.read())]), public_keys=[recovery_key]),
        )
        destination.create(f"{catalogue.folder(begun.id)}/{manifest.MANIFEST}", manifest.encode(found))
    return found


def reported(
    source: Source, destination: Destination, *, recovery_key: str, dry_run: bool, say: Say
) -> dict[str, object]:
    """Take a backup as `create` does, and return a document of its manifest; with `dry_run` of what would be copied."""
    if dry_run:
        plan = planned(source, destination)
        return {"toRead": len(plan.to_read), "bytes": plan.bytes_to_read, "unchanged": len(plan.unchanged)}
    made = create(source, destination, recovery_key=recovery_key, say=say)
    return {"backup": json.loads(manifest.encode(made))}


def planned(source: Source, destination: Destination) -> CopyPlan:
    """Return which artifacts a backup would read now, and write nothing. Raises PlatformFailed."""
    return _plan(source, destination, catalogue.read(destination).newest)


@contextlib.contextmanager
def _staged(source: Source) -> Iterator[None]:
    """Leave no dump in plain behind; an interrupted backup's goes first."""
    source.clear_staging()
    try:
        yield
    finally:
        source.clear_staging()


def _sealed_dump(begun: _Begun, dump: str, name: str, dumped: DumpedDatabase) -> DumpedDatabase:
    part = begun.seal(f"{name}.dump.age", begun.source.store.chunks(f"{STAGING}/{dump}/{dumped.object}"))
    return replace(dumped, object=part.object, sha256=part.sha256, size_bytes=part.size_bytes)


def _samples(source: Source, dump: str) -> dict[str, str]:
    """Return what the tool's own manifest says of rows that it has read in the tracking database's snapshot."""
    key = f"{STAGING}/{dump}/{manifest.MANIFEST}"
    return dict(json.loads(source.store.read([key])[key])["databases"]["tracking"]["samples"])


def _plan(source: Source, destination: Destination, before: Manifest | None) -> CopyPlan:
    known: Mapping[str, Artifact] = {}
    if before is not None:
        # Without the index of the backup before, every artifact is read again.
        with contextlib.suppress(PlatformFailed):
            known = catalogue.index_of(destination, before)
    contents = {key: each.size_bytes for key, each in catalogue.contents_of(destination).items()}
    return plan_copy(source.artifacts.listing(), before=known, contents=contents)


def _copied(begun: _Begun, plan: CopyPlan, say: Say) -> ArtifactIndex:
    say(f"copying {len(plan.to_read)} artifacts of {plan.bytes_to_read} bytes; {len(plan.unchanged)} are unchanged")
    copied = (_copy(begun, file) for file in plan.to_read)
    artifacts = [*plan.unchanged, *(each for each in copied if each is not None)]
    content = encode_index(artifacts)
    written = begun.destination.write(f"{catalogue.folder(begun.id)}/{INDEX}", lambda write: write(content))
    return ArtifactIndex(
        mode=ArtifactMode.COPY,
        index=Part(object=INDEX, sha256=written.sha256, size_bytes=written.size_bytes),
        files=len(artifacts),
        size_bytes=sum(each.size_bytes for each in artifacts),
    )


def _copy(begun: _Begun, file: StoredFile) -> Artifact | None:
    """Copy one artifact; None if it was deleted since it was listed."""
    try:
        written = begun.destination.write(
            content_key, lambda write: [write(piece) for piece in begun.source.artifacts.reading(file.path)]
        )
    except FileNotFoundError:
        return None
    # One that was changed meanwhile has no stamp that a listing gives: the next backup reads it again.
    stamp = file.stamp if written.size_bytes == file.size_bytes else ""
    return Artifact(path=file.path, size_bytes=written.size_bytes, stamp=stamp, sha256=written.sha256)


def _encoded(secrets_by_name: Mapping[str, str]) -> bytes:
    return json.dumps(dict(secrets_by_name), indent=1, sort_keys=True).encode()
