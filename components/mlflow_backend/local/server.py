"""The MLflow server of a local stack: from what is desired of it to a revision that serves."""

from __future__ import annotations

import contextlib
from functools import partial
from typing import TYPE_CHECKING, Any

from mlflow_backend import environments
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.local import (
    environment,
    guard,
    package,
    render,
    revisions,
    schema,
    switch,
)
from mlflow_backend.local.one_shot import ToolRunner
from mlflow_backend.local.platform import LocalPlatform
from mlflow_backend.local.supervisor import Supervisor
from mlflow_backend.migrate.step import after_failed_start, settle
from mlflow_backend.migrate.tool import DatabaseTool
from mlflow_backend.offered import typed
from mlflow_backend.releases import durations, pins, update
from mlflow_backend.releases.journal import Journal
from mlflow_backend.releases.ledger import Ledger
from mlflow_backend.releases.stores import FileStore
from mlflow_backend.verification import execution

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow_backend.local.desired import DesiredServer
    from mlflow_backend.local.revisions import Record
    from mlflow_backend.local.state import StateDir

# supervisord counts a start as good after this time; MLflow ends within 7 s if it cannot start, but for an
# unreachable database, on which it gives up after 107 s (measured).
_START_SECONDS = 20


def deploy(state: StateDir, desired: DesiredServer, verification: Mapping[str, Any]) -> dict[str, Any]:
    """Serve a new revision of the desired server; return its number and time.

    `verification` says how it is verified before users meet it. Raises PlatformFailed if it does not get ready,
    CandidateFailed if it does not pass: the revision before it goes on serving, or serves again.
    """
    with _switching(state, pinned=""):
        switch.clear_up(state)
        record = _record(state, desired)
        guard.refuse_other_schema(state, record)
        _make_users_schema(state, record)
        has_users = revisions.active(state) is not None
        switch.write_candidate(state, record)
        candidate = switch.stage(state, record)
        verify = partial(
            execution.run_apart,
            extra=verification,
            running=lambda: candidate.revision if candidate.runs else "",
        )
        update.serve(candidate, verify=verify if has_users else None)
    return _deployed(state, record, candidate.start_s)


def keep(state: StateDir, pinned: str) -> dict[str, Any]:
    """Serve the pinned revision, unless it serves already; return its number and time. Raises as `deploy` does."""
    with _switching(state, pinned=pinned):
        record = revisions.load(state, int(pinned))
        if condition(state, record.number) != "running":
            switch.activate(state, record)
    # How long it took to be ready was kept when it was made.
    return _deployed(state, record, None)


@contextlib.contextmanager
def _switching(state: StateDir, *, pinned: str) -> Iterator[None]:
    """Hold the lock of switches; say of a failure what became of the migration that this update made."""
    try:
        with state.locked("switch"):
            pins.refuse_overtaken(FileStore(state.backend_store), pinned)
            yield
    except PlatformFailed as failure:
        if not (schema_now := _after_failure(state)):
            raise
        finding = f"{failure.finding}. {schema_now}"
        raise PlatformFailed(finding, code="server-not-starting", fix=failure.fix, part=failure.part) from None
    except update.CandidateFailed as failure:
        serving = revisions.active(state)
        now = _after_failure(state) or f"Revision {serving.number if serving else 'none'} serves on."
        raise update.CandidateFailed(failure.revision, failure.report, now=now) from None


def _deployed(state: StateDir, record: Record, start_s: float | None) -> dict[str, Any]:
    store = FileStore(state.backend_store)
    took = durations.Durations(start_s=start_s, migration_s=settle(Journal(store, "migration")))
    durations.keep(store, str(record.number), took)
    return {"revision": str(record.number), "createdAt": record.created_at.isoformat()}


def _after_failure(state: StateDir) -> str:
    """Say what became of a migration that this update made for the new revision; nothing if it made none."""
    if Journal(FileStore(state.backend_store), "migration").load() is None:
        return ""
    from mlflow_backend.deployed import DeployedBackend  # noqa: PLC0415 - only after a migration

    return typed(after_failed_start(DeployedBackend(LocalPlatform(state))), state.path.name)


def condition(state: StateDir, number: int) -> str:
    """Return `running`, or in a few words how what serves differs from the revision that was deployed."""
    serving = revisions.active(state)
    if serving is None:
        return "no revision gets the traffic"
    if serving.number != number:
        return f"revision {serving.number} gets the traffic"
    return Supervisor(state).condition(serving.program)


def _make_users_schema(state: StateDir, record: Record) -> None:
    """Give the users' database its schema if basic auth has none yet: of several workers each would make it."""
    if record.access != "basic":
        return
    live = schema.heads(state)
    if live is not None and live.auth is None:
        try:
            DatabaseTool(ToolRunner(state, record.mlflow_version, users=True)).upgrade()
        except PlatformFailed as failure:
            raise PlatformFailed(
                failure.finding, code="users-database-failed", fix=failure.fix, part="the users' database"
            ) from None


def _record(state: StateDir, desired: DesiredServer) -> Record:
    known = Ledger(FileStore(state.backend_store), by="").read().releases
    number = revisions.next_number(state, [each.release.revision for each in known if each.release])
    installed, plugin = environment.locate(desired.mlflow_version), package.locate()
    for folder, is_there in ((installed.path, environments.exists(installed)), (plugin.path, plugin.installed)):
        if not is_there:
            part = f"MLflow {desired.mlflow_version}"
            raise PlatformFailed(
                f"its environment {folder} is gone",
                code="server-environment-gone",
                fix="Run `make up`, which installs it",
                part=part,
            )
    port = revisions.choose_port(state, number)
    state.temporary.mkdir(mode=0o700, exist_ok=True)
    described = desired.description.listening(port=port, metrics_port=revisions.choose_metrics_port(state, number))
    program = render.Program(
        name=revisions.program_name(number),
        argv=(str(installed.mlflow), *described.argv[1:]),
        environment={
            **described.environment,
            # 2.9 starts gunicorn by its name.
            "PATH": f"{installed.path / 'bin'}:/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": str(plugin.path),
            "TMPDIR": str(state.temporary),
        },
        secret_environment=described.secret_environment,
        secret_versions=desired.secret_versions,
        tree=True,
        stop_timeout_s=described.stop_timeout_s,
        start_seconds=_START_SECONDS,
        start_retries=3,
    )
    return revisions.Record(
        number=number,
        mlflow_version=desired.mlflow_version,
        environment_lock=installed.lock,
        port=port,
        program=program,
        created_at=revisions.now(),
        identity=desired.identity,
    )
