"""The restore of a backup onto a deployed backend: artifacts that are missing, then secrets, databases and identity.

Nothing is overwritten: an artifact that is there stays, and the databases that are replaced are kept under another name
until they are dropped by command. It may be repeated after an interruption: a journal says which databases were kept
before, so that those that were switched are not switched again, and are not taken for the stack's own data.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from mlflow_backend.backup import catalogue, sealing
from mlflow_backend.backup.create import LOCK
from mlflow_backend.backup.damage import damaged_contents, refuse_damaged, refuse_unknown_schema
from mlflow_backend.backup.destination import inspect_objects
from mlflow_backend.backup.source import recorded
from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.identity import object_of
from mlflow_backend.releases.journal import restore_journal
from mlflow_backend.releases.stores import STAGING
from mlflow_backend.schema_tables import required_heads, schema_table

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from mlflow_backend.backup.artifacts import Artifact
    from mlflow_backend.backup.destination import Destination
    from mlflow_backend.backup.manifest import Manifest
    from mlflow_backend.backup.source import DeployedSource
    from mlflow_backend.contract import Release
    from mlflow_backend.releases.records import LedgerState

    Say = Callable[[str], None]

BY = "scripts.backup restore"
# Of the database tool's name for what a restore replaced (server/src/mlflow_backend_server/db/kept.py).
_REPLACED = "__before_"
_TOOL_FORMAT = 1
"""Of the database tool's own manifest (server/src/mlflow_backend_server/db/dump.py)."""


@dataclass(frozen=True, kw_only=True)
class RestorePlan:
    """What a restore would do. `elsewhere` says that the backend is another one than the backup was taken of."""

    manifest: Manifest
    elsewhere: bool
    missing: tuple[Artifact, ...]
    different: tuple[str, ...]

    def lines(self) -> Iterator[str]:
        """Say it for people."""
        found = self.manifest
        yield f"backup {found.id} of {found.stack} ({found.target}), taken at {found.taken_at:%Y-%m-%d %H:%M} UTC"
        yield f"its identity: {', '.join(f'{part} {name}' for part, name in sorted(found.identity.items())) or 'none'}"
        yield f"databases: {', '.join(found.databases)}, at {found.heads} (MLflow {found.mlflow_version})"
        yield f"artifacts: {len(self.missing)} of {found.artifacts.files} are missing here and are written"
        if self.different:
            yield f"{len(self.different)} artifacts have another size here and stay as they are: {self.different[0]}"
        if self.elsewhere:
            yield "keys: those of the backup are put in force, and the present ones are kept aside"


def plan(source: DeployedSource, destination: Destination, found: Manifest, *, has_key: bool) -> RestorePlan:
    """Return what restoring the backup would do. Raises Refused if it cannot be restored onto this backend.

    `has_key` says whether the recovery key was given, without which another backend's keys cannot be opened.
    """
    refuse_unknown_schema(found, schema_table())
    version = served_by(source).mlflow_version
    if required_heads(version, auth="auth" in found.databases) != found.heads:
        raise Refused(
            f"The backup's databases are at {found.heads}, and MLflow {version} that serves needs another schema.",
            code="restore-other-schema",
            fix=f"Set server.mlflowVersion to {found.mlflow_version}, `make up`, and repeat.",
        )
    state = source.deployed.ledger.state()
    elsewhere = (state.identity or {}) != found.identity
    _refuse_another(source, found)
    if elsewhere:
        _refuse_pinned(state)
        _refuse_other(source, found, has_key=has_key)
    missing, different = _compare(source, catalogue.index_of(destination, found))
    return RestorePlan(manifest=found, elsewhere=elsewhere, missing=missing, different=different)


def restore(source: DeployedSource, destination: Destination, planned: RestorePlan, *, key: str, say: Say) -> None:
    """Carry out a plan; `key` opens the dumps, and the backup's secrets if it is restored elsewhere.

    Raises Refused if another command works on the backend, PlatformFailed if the backup is damaged or a part of the
    backend fails. The databases are then as they were.
    """
    found, deployed = planned.manifest, source.deployed
    revision = served_by(source).revision
    with deployed.store.locked(LOCK, by=BY), deployed.rollback_lock(), deployed.migration_lock():
        # Not before the lock: what prunes holds it too.
        refuse_damaged(found.id, catalogue.damages(destination, found, read_all=False))
        source.clear_staging()
        try:
            say("opening the dumps")
            address = stage(source, destination, found, key)
            write_artifacts(source, destination, planned.missing, say=say)
            say("ending the server")
            deployed.platform.stop_servers()
            try:
                before = _restore_databases(source, destination, planned, address, key=key, say=say)
                write_identity(source, found.identity)
                deployed.ledger.add_restore(found.id, before=before, identity=found.identity)
                restore_journal(deployed.store).close()
            finally:
                deployed.serve(source.renewed(revision))
        finally:
            source.clear_staging()


def _restore_databases(  # noqa: PLR0913 - what is restored from where, by name
    source: DeployedSource, destination: Destination, planned: RestorePlan, address: str, *, key: str, say: Say
) -> dict[str, str]:
    """Switch the databases, under the keys of the backup if it is of another backend; else nothing is changed.

    Return what the backend was known by before.
    """
    found, journal, contents = planned.manifest, restore_journal(source.deployed.store), source.deployed.ledger.read()
    switched = _switched(source, found)
    entry = switched or {}
    if not switched:
        entry = {
            "backup": found.id,
            "before": dict(contents.state.identity or {}),
            "elsewhere": planned.elsewhere,
            "kept": replaced(source),
            "ledger": contents.last,
            "undoing": False,
        }
        journal.write(entry)
    before: dict[str, str] = entry["before"]
    if planned.elsewhere:
        source.vault.take_over(opened_secrets(destination, found, key), label=found.id)
    if switched:
        say("the databases were switched before the restore was interrupted")
        return before
    try:
        say("restoring the databases")
        source.tool(found.mlflow_version).restore(address)
    except BaseException as failure:
        if planned.elsewhere:
            source.vault.put_back(found.id)
        if isinstance(failure, PlatformFailed):
            # Nothing was switched, and nobody has to finish it.
            journal.close()
        raise
    return before


def stage(source: DeployedSource, destination: Destination, found: Manifest, key: str) -> str:
    """Open the dumps into the backend's own store, and return the address that the database tool restores from.

    Raises PlatformFailed if the key does not open them or a dump is damaged.
    """
    folder = f"{STAGING}/{found.id}"
    entries = {}
    for name, dumped in found.databases.items():
        sealed = f"{catalogue.folder(found.id)}/{dumped.object}"
        opened = partial(sealing.unseal, destination.chunks(sealed), private_key=key, part=sealed)
        written = source.own.write(f"{folder}/{name}.dump", opened)
        entries[name] = {
            "object": f"{name}.dump",
            "sha256": written.sha256,
            "bytes": written.size_bytes,
            "head": dumped.head,
            "row_counts": dict(dumped.rows),
            "samples": dict(found.samples) if name == "tracking" else {},
        }
    manifest = {"format": _TOOL_FORMAT, "databases": entries}
    source.own.create(f"{folder}/manifest.json", json.dumps(manifest).encode())
    return f"{source.staging}/{found.id}"


def write_artifacts(
    source: DeployedSource, destination: Destination, missing: tuple[Artifact, ...], *, say: Say
) -> None:
    """Write the artifacts, each only if its content is what was backed up. Raises PlatformFailed."""
    say(f"writing {len(missing)} artifacts")
    for artifact in missing:
        found = inspect_objects(destination, [artifact.content], read=True)
        refuse_damaged("of these artifacts", damaged_contents({artifact.path: artifact}, found))
        pieces = destination.chunks(artifact.content)
        source.artifacts.create(artifact.path, pieces, size_bytes=artifact.size_bytes)


def write_identity(source: DeployedSource, identity: Mapping[str, str]) -> None:
    """Write the identity of a backend into its store; its databases bring theirs."""
    if {"store", "database"} <= set(identity):
        source.deployed.platform.mark_store(object_of(identity["store"], identity["database"]))


def opened_secrets(destination: Destination, found: Manifest, key: str) -> dict[str, str]:
    """Return the backup's secrets by name. Raises PlatformFailed if the key does not open them."""
    if found.keys is None:
        raise PlatformFailed(
            "it holds no keys", code="backup-without-keys", fix="Restore another backup", part=f"backup {found.id}"
        )
    part = f"{catalogue.folder(found.id)}/{found.keys.object}"
    content = sealing.unseal_bytes(destination.chunks(part), key, part=part)
    return {str(name): str(value) for name, value in json.loads(content).items()}


def settings_of(destination: Destination, found: Manifest, key: str, *, path: Path) -> None:
    """Write the settings that the stack had into a new file. Raises PlatformFailed if the key does not open them."""
    part = f"{catalogue.folder(found.id)}/{found.settings.object}"
    path.write_bytes(sealing.unseal_bytes(destination.chunks(part), key, part=part))


def served_by(source: DeployedSource) -> Release:
    """Return the release that serves, else the one that did: a database that is damaged, or a killed restore, ended it.

    Raises Refused if none was ever verified.
    """
    found = source.served() or recorded(source.ledger)
    if found is None:
        raise Refused("No revision serves.", code="restore-nothing-serves", fix="Deploy the stack: `make up`.")
    return found


def _refuse_other(source: DeployedSource, found: Manifest, *, has_key: bool) -> None:
    """Raise Refused if this other backend holds data of its own, or the backup's keys cannot be opened.

    What the same restore brought before it was interrupted is no data of its own.
    """
    rows: Mapping[str, int] = {}
    if not _switched(source, found):
        rows = source.used()
    if used := ", ".join(f"{count} rows of {table}" for table, count in rows.items() if count):
        raise Refused(
            f"This backend is another one than the backup was taken of, and it holds {used}.",
            code="restore-onto-used",
            fix="Restore onto a new stack.",
        )
    if not has_key:
        raise Refused(
            "This backend is another one than the backup was taken of, whose keys are sealed.",
            code="restore-needs-recovery-key",
            fix="Give the recovery key: --recovery-key file:PATH.",
        )


def interrupted(source: DeployedSource) -> dict[str, Any] | None:
    """Return what the journal says of a restore, or of an undoing, that did not end; None if there is none.

    `before` is the identity until then, `elsewhere` whether secrets are replaced, `kept` names the databases that were
    replaced before, and `ledger` is the number of the newest record then.
    """
    return restore_journal(source.deployed.store).load("backup", "before", "elsewhere", "kept", "ledger", "undoing")


def replaced(source: DeployedSource) -> list[str]:
    """Return the databases that restores have replaced and kept, by name."""
    return sorted(name for name in source.tool(served_by(source).mlflow_version).kept() if _REPLACED in name)


def _switched(source: DeployedSource, found: Manifest) -> dict[str, Any] | None:
    """Return what the journal says of a restore of this backup that was killed after it had switched the databases."""
    entry = interrupted(source)
    return None if entry is None or entry["backup"] != found.id or entry["kept"] == replaced(source) else entry


def _refuse_another(source: DeployedSource, found: Manifest) -> None:
    """Raise Refused if something else than a restore of this backup was interrupted, whose secrets may be in force."""
    entry = interrupted(source)
    if entry is not None and (entry["undoing"] or entry["backup"] != found.id):
        raise Refused(
            f"{'The undoing' if entry['undoing'] else 'A restore'} of backup {entry['backup']} was interrupted.",
            code="restore-of-another",
            fix="Finish it first: the same command with its ID, or `restore --undo`.",
        )


def _refuse_pinned(state: LedgerState) -> None:
    """Raise Refused if a revision is pinned: it was made with the keys that are replaced."""
    if state.pin is not None:
        raise Refused(
            f"The stack is pinned to revision {state.pin.revision}, which has not the keys of the backup, another "
            "backend's.",
            code="restore-pinned",
            fix="Lift the pin first: `python -m scripts.rollback --stack STACK --unpin`.",
        )


def _compare(source: DeployedSource, index: Mapping[str, Artifact]) -> tuple[tuple[Artifact, ...], tuple[str, ...]]:
    """Return the artifacts that are not in the store, and the paths of those that have another size there."""
    there = {file.path: file.size_bytes for file in source.artifacts.listing()}
    missing = tuple(artifact for path, artifact in sorted(index.items()) if path not in there)
    different = (
        path for path, artifact in index.items() if there.get(path, artifact.size_bytes) != artifact.size_bytes
    )
    return missing, tuple(sorted(different))
