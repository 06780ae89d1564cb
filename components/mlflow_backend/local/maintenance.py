"""The maintenance of a local stack, beside its server: what is removed, vacuumed and measured, and removal by name."""

from __future__ import annotations

import shutil
import time
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import psutil
import psycopg2

from mlflow_backend.backup.create import LOCK
from mlflow_backend.backup.orphans import unnamed
from mlflow_backend.contract import PlatformFailed, Refused, UsageError
from mlflow_backend.local import credentials, ports, processes, revisions, schema
from mlflow_backend.local.backups import LocalArtifacts
from mlflow_backend.local.naming import ARTIFACT_ROOT, tracking_url
from mlflow_backend.local.one_shot import ToolRunner
from mlflow_backend.local.platform import LocalPlatform
from mlflow_backend.local.store import Store
from mlflow_backend.maintenance import ARTIFACTS, BY, DUMPS, KeptDump, Maintained, by_experiment
from mlflow_backend.migrate.tool import DatabaseTool
from mlflow_backend.releases.stores import DUMPS as DUMPS_FOLDER
from mlflow_backend.verify.tracking import PREFIX

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow_backend.local.revisions import Record
    from mlflow_backend.local.state import StateDir

# No transfer of a file takes longer.
_TEMPORARY_S: Final = 24 * 3600
# MLflow's temporary files, as `tempfile` calls them: a server's other files there are in use while they are old.
_TEMPORARY: Final = "mlflow-backend-server-*/tmp????????"


class LocalMaintenance:
    """See target.Maintenance."""

    def __init__(self, state: StateDir) -> None:
        """Name the stack's folder; nothing is read yet."""
        self._state = state

    def maintain(self, *, keep_deleted_days: int, dry_run: bool) -> Maintained:
        """Do it, or say what would be done. Raises Refused if nothing serves or backups are at work, PlatformFailed."""
        state, platform = self._state, LocalPlatform(self._state)
        serving = revisions.active(state)
        if serving is None or platform.serving() is None:
            raise Refused(
                "No server of the stack runs, and artifacts are removed by it.",
                code="maintain-not-serving",
                fix="Run `make up STACK=STACK`.",
            )
        with platform.store.locked(LOCK, by=BY):
            tool = DatabaseTool(ToolRunner(state, serving.mlflow_version, client=_client(state, serving)))
            report = tool.maintain(days=keep_deleted_days, at_once=f"{PREFIX}/", dry_run=dry_run)
            files, bytes_ = _temporary(state, dry_run=dry_run)
            stored = _stored(state)
            return Maintained(
                dry_run=dry_run,
                removed=report["removed"],
                kept=report["kept"],
                databases=report["databases"],
                temporary_files=files,
                temporary_bytes=bytes_,
                experiments=by_experiment(stored, schema.experiments(state)),
                lost={path: stored[path] for path in _lost(state, stored)},
                dumps=_dumps(state),
                kept_databases=schema.kept(state),
            )

    def remove(self, name: str, *, dry_run: bool) -> int:
        """Remove one dump, or artifacts that no row names (a file, or all below a folder); return how many files.

        Raises UsageError for another name, Refused for what is in use.
        """
        state = self._state
        with LocalPlatform(state).store.locked(LOCK, by=BY):
            if name.startswith(DUMPS):
                return _remove_dump(state, name.removeprefix(DUMPS), dry_run=dry_run)
            if not name.startswith(ARTIFACTS):
                raise _unknown(name)
            wanted = name.removeprefix(ARTIFACTS).rstrip("/")
            stored = _stored(state)
            chosen = {path for path in stored if path == wanted or path.startswith(f"{wanted}/")}
            if not chosen:
                raise _unknown(name)
            if named := chosen.difference(_lost(state, stored)):
                raise Refused(
                    f"{min(named)} is of a run, a model or a trace.",
                    code="artifact-in-use",
                    fix="Delete that with MLflow's client; a later maintenance removes its files.",
                    part=name,
                )
            store = Store(state, ports.known(state)["store"])
            for path in () if dry_run else sorted(chosen):
                store.delete(path)
            return len(chosen)


def _remove_dump(state: StateDir, wanted: str, *, dry_run: bool) -> int:
    known = _dumps(state)
    if wanted not in {each.name for each in known}:
        raise _unknown(f"{DUMPS}{wanted}")
    if wanted == known[-1].name:
        raise Refused(
            "It is the newest dump, which a rollback past the last migration restores.",
            code="dump-in-use",
            fix="Keep it until there is a newer one.",
            part=f"{DUMPS}{wanted}",
        )
    folder = state.backend_store / DUMPS_FOLDER / wanted
    number = sum(path.is_file() for path in folder.rglob("*"))
    if not dry_run:
        shutil.rmtree(folder)
    return number


def _unknown(name: str) -> UsageError:
    return UsageError(
        "there is nothing of that name",
        code="maintain-name-unknown",
        fix=f"Name {ARTIFACTS}PATH or {DUMPS}ID as `python -m scripts.maintain --dry-run` lists them",
        part=name,
    )


def _client(state: StateDir, serving: Record) -> dict[str, str]:
    """Return the variables of MLflow's client by which the tool deletes artifacts, as users do."""
    url = tracking_url(ports.known(state)["front"], serving.path_prefix)
    found = {"MLFLOW_TRACKING_URI": url}
    if serving.access == "basic":
        found["MLFLOW_TRACKING_USERNAME"] = credentials.ADMIN_NAME
        found["MLFLOW_TRACKING_PASSWORD"] = credentials.read(state, credentials.ADMIN)
    elif serving.access == "token":
        found["MLFLOW_TRACKING_TOKEN"] = credentials.read(state, credentials.API_KEY)
    return found


def _stored(state: StateDir) -> dict[str, int]:
    return {each.path: each.size_bytes for each in LocalArtifacts(state).listing()}


def _lost(state: StateDir, stored: dict[str, int]) -> list[str]:
    """Return what no row names. Rows are read after the files: a file is written after the row that names it."""
    try:
        named = schema.named_artifacts(state)
    except psycopg2.Error as error:
        raise PlatformFailed(
            f"the database does not answer: {type(error).__name__}",
            code="maintain-database-not-answering",
            fix="Run `make status`, and repeat",
            part="database",
        ) from None
    return unnamed(stored, named, root=ARTIFACT_ROOT)


def _dumps(state: StateDir) -> tuple[KeptDump, ...]:
    folder = state.backend_store / DUMPS_FOLDER
    found = [_dump(path) for path in folder.iterdir() if path.is_dir()] if folder.exists() else []
    return tuple(sorted(found, key=lambda each: each.taken_at))


def _dump(folder: Path) -> KeptDump:
    files = [path.stat() for path in folder.rglob("*") if path.is_file()]
    newest = max((each.st_mtime for each in files), default=folder.stat().st_mtime)
    return KeptDump(
        name=folder.name,
        bytes=sum(each.st_size for each in files),
        taken_at=datetime.fromtimestamp(newest, UTC),
    )


def _temporary(state: StateDir, *, dry_run: bool) -> tuple[int, int]:
    """Remove MLflow's temporary files of more than a day that no process of the stack has open; return files, bytes."""
    opened = _opened(state)
    number, total = 0, 0
    for entry in state.temporary.glob(_TEMPORARY):
        files = [entry] if entry.is_file() else [path for path in entry.rglob("*") if path.is_file()]
        newest = max((path.stat().st_mtime for path in (entry, *files)), default=0.0)
        if newest > time.time() - _TEMPORARY_S or not opened.isdisjoint(map(str, files)):
            continue
        number, total = number + len(files), total + sum(path.stat().st_size for path in files)
        if not dry_run and entry.is_dir():
            shutil.rmtree(entry, ignore_errors=True)
        elif not dry_run:
            entry.unlink(missing_ok=True)
    return number, total


def _opened(state: StateDir) -> set[str]:
    found: set[str] = set()
    for process in processes.marked(str(state.path)):
        try:
            found |= {each.path for each in process.open_files()}
        except psutil.Error:
            continue
    return found
