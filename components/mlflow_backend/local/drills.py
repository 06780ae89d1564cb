"""The drill of a backup, of whatever target, on this machine: a scratch stack serves it and is verified by `full`."""

from __future__ import annotations

import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_backend.backup import catalogue, restore
from mlflow_backend.backup.create import LOCK
from mlflow_backend.backup.damage import refuse_damaged, refuse_unknown_schema
from mlflow_backend.backup.drill import DrillResult, Outcome
from mlflow_backend.backup.orphans import orphans
from mlflow_backend.contract import BackendError
from mlflow_backend.local import postgres, schema
from mlflow_backend.local.backups import named_here, source_of
from mlflow_backend.local.locator import LocalLocator
from mlflow_backend.local.naming import ARTIFACT_ROOT
from mlflow_backend.local.scratch import scratch_stack
from mlflow_backend.migrate.tool import Code
from mlflow_backend.schema_tables import schema_table
from mlflow_backend.settings import YamlSource, load
from mlflow_backend.verification import execution
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.request import VerifyRequest

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend.backup.destination import Destination
    from mlflow_backend.backup.manifest import Manifest
    from mlflow_backend.local.scratch import Scratch
    from mlflow_backend.local.state import StateDir
    from mlflow_backend.settings import Settings
    from mlflow_backend.target import Backups
    from mlflow_backend.verify.report import Report

    Say = Callable[[str], None]

BY = "scripts.backup drill"
DEADLINE_S = 300.0
# What these say is said of the backup, and of nothing around it.
_OF_THE_BACKUP = frozenset({
    "backup-damaged", "backup-index-damaged", "backup-index-malformed", "backup-without-keys",
    Code.FAILED.error, Code.NOT_AT_HEAD.error, Code.UNSUPPORTED.error,
})  # fmt: skip


def drill(  # noqa: PLR0913 - what is drilled, where and by which key, by name
    beside: StateDir,
    backups: Backups,
    destination: Destination,
    found: Manifest,
    *,
    recovery_key: str | None,
    say: Say,
) -> DrillResult:
    """Restore a backup in the folder of a stack, verify it, remove it, and return the result, which is recorded.

    Without the recovery key the backup is opened by the stack's own key, and its keys stay unproved. Raises Refused if
    it has none, and if another command of backups works; PlatformFailed if the result cannot be recorded.
    """
    key, vault = recovery_key, None
    if key is None:
        vault = backups.source().vault
        key = vault.private_key()
    started, clock = datetime.now(UTC), time.monotonic()
    with backups.store.locked(LOCK, by=BY):
        keys_proved, rto_s, findings, outcome = False, None, [], Outcome.PROVED
        notes: tuple[str, ...] = ()
        try:
            say("reading all that the backup names")
            refuse_unknown_schema(found, schema_table())
            refuse_damaged(found.id, catalogue.damages(destination, found, read_all=True))
            secrets = vault.read() if vault else restore.opened_secrets(destination, found, key)
            keys_proved = vault is None
            settings = _settings(destination, found, key)
            # A dump moves to a newer Postgres, and never to an older one; only that of this target is known here.
            newest = None if found.target == LocalLocator.kind else postgres.newest_major()
            with scratch_stack(beside, settings, named_here(secrets), postgres_major=newest) as scratch:
                notes = _restored(scratch, destination, found, key, say)
                report = _served(scratch, found, say)
                if report.verdict is Result.PASS:
                    rto_s = round(time.monotonic() - clock, 1)
                else:
                    outcome = Outcome.DAMAGED if report.verdict is Result.FAIL else Outcome.INCONCLUSIVE
                    findings = [
                        f"{each.name}: {each.sentence}" for each in report.checks if each.result is Result.FAIL
                    ] or [report.headline()]
        except BackendError as failure:
            outcome = Outcome.DAMAGED if failure.code in _OF_THE_BACKUP else Outcome.INCONCLUSIVE
            findings = [str(failure)]
        result = DrillResult(
            backup=found.id,
            started_at=started,
            outcome=outcome,
            keys_proved=keys_proved,
            rto_s=rto_s,
            rpo_s=round((started - found.taken_at).total_seconds(), 1),
            findings=tuple(findings),
            notes=notes,
        )
        catalogue.record_drill(destination, result)
    return result


def _restored(scratch: Scratch, destination: Destination, found: Manifest, key: str, say: Say) -> tuple[str, ...]:
    """Restore into the scratch stack, and return what database and artifacts do not know of each other."""
    into = source_of(scratch.state, users="auth" in found.databases)
    say("restoring the databases beside the live ones")
    address = restore.stage(into, destination, found, key)
    into.tool(found.mlflow_version).restore(address)
    into.clear_staging()
    index = catalogue.index_of(destination, found)
    restore.write_artifacts(into, destination, tuple(index.values()), say=say)
    restore.write_identity(into, found.identity)
    files = {path: artifact.size_bytes for path, artifact in index.items()}
    return orphans(files, schema.named_artifacts(scratch.state), root=ARTIFACT_ROOT)


def _served(scratch: Scratch, found: Manifest, say: Say) -> Report:
    """Serve what was restored, and verify it."""
    say(f"starting MLflow {found.mlflow_version} on it")
    revision = scratch.serve()
    say("verifying it")
    subject = source_of(scratch.state).deployed.subject(revision)
    return execution.run(subject, VerifyRequest(profile="full", deadline_s=DEADLINE_S))


def _settings(destination: Destination, found: Manifest, key: str) -> Settings:
    """Return the settings that the stack had, with the MLflow version that it served."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "Pulumi.backup.yaml"
        restore.settings_of(destination, found, key, path=path)
        settings = load(YamlSource.read(path))
    server = settings.server.model_copy(update={"mlflow_version": found.mlflow_version})
    return settings.model_copy(update={"server": server})
