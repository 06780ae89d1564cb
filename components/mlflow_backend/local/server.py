"""The MLflow server of a local stack: from what is desired of it to a revision that serves."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.local import (
    credentials,
    environment,
    guard,
    holding,
    naming,
    package,
    ports,
    render,
    revisions,
    schema,
    switch,
)
from mlflow_backend.local.one_shot import ToolRunner
from mlflow_backend.local.state import write
from mlflow_backend.local.supervisor import Supervisor
from mlflow_backend.migrate.step import after_failed_start, settle
from mlflow_backend.migrate.tool import DatabaseTool
from mlflow_backend.offered import typed
from mlflow_backend.releases import durations
from mlflow_backend.releases.journal import Journal
from mlflow_backend.releases.ledger import Ledger
from mlflow_backend.releases.stores import FileStore
from mlflow_backend.verify.subjects import Subject

if TYPE_CHECKING:
    from mlflow_backend.local.desired import DesiredServer
    from mlflow_backend.local.revisions import Record
    from mlflow_backend.local.state import StateDir

# supervisord counts a start as good after this time; MLflow ends within 7 s where it cannot start, but for an
# unreachable database, on which it gives up after 107 s (measured).
_START_SECONDS = 20


def deploy(state: StateDir, desired: DesiredServer | None, *, pinned: str) -> dict[str, Any]:
    """Make a revision of the desired server and switch to it, or to the pinned one; return its number and time.

    Raises PlatformFailed if it does not get ready: the revision before it goes on serving, or serves again.
    """
    try:
        with state.locked("switch"):
            holding.refuse_overtaken(state, pinned)
            record, start_s = _keep(state, int(pinned)) if desired is None else _make(state, desired)
    except PlatformFailed as failure:
        raise _with_schema(state, failure) from None
    store = FileStore(state.backend_store)
    migration_s = settle(Journal(store, "migration"))
    took = durations.Durations(start_s=start_s, migration_s=migration_s)
    durations.keep(store, str(record.number), took)
    return {"revision": str(record.number), "createdAt": record.created_at.isoformat()}


def _make(state: StateDir, desired: DesiredServer) -> tuple[Record, float]:
    """Make a new revision and switch to it; return it, and the seconds from its start until it was ready."""
    serving = revisions.active(state)
    # An update that was killed may have left its server running beside the one that serves.
    switch.retire_others(state, None if serving is None else serving.number)
    record = _record(state, desired)
    guard.refuse_other_schema(state, record)
    _make_users_schema(state, record)
    revisions.save(state, record)
    try:
        start_s = switch.activate(state, record)
    except BaseException:
        revisions.drop(state, record.number)
        raise
    _describe_subject(state, record)
    return record, start_s


def _keep(state: StateDir, number: int) -> tuple[Record, None]:
    """Switch to the pinned revision unless it serves. How long it took to be ready was kept when it was made."""
    record = revisions.load(state, number)
    if condition(state, record.number) != "running":
        switch.activate(state, record)
    return record, None


def _with_schema(state: StateDir, failure: PlatformFailed) -> PlatformFailed:
    """Return the failure with what became of a migration that this update made for the new revision."""
    if Journal(FileStore(state.backend_store), "migration").load() is None:
        return failure
    from mlflow_backend.local.releases import LocalReleases  # noqa: PLC0415 - only after a migration

    told = typed(after_failed_start(LocalReleases(state)), state.path.name)
    return PlatformFailed(
        f"{failure.finding}. {told.rstrip('.')}", code="server-not-starting", fix=failure.fix, part=failure.part
    )


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


def _describe_subject(state: StateDir, record: Record) -> None:
    """Write what a verification on demand needs to know, for `make verify`."""
    subject = Subject(
        url=naming.tracking_url(ports.known(state)["front"], record.path_prefix),
        expected_version=record.mlflow_version,
        expected_revision=str(record.number),
        locator={"kind": "local", "state": str(state.path)},
        stack=state.path.name,
        jobs=record.jobs,
        max_upload_mib=record.max_artifact_mib or None,
        credentials=credentials.references(state, record.access),
        access=record.access != "none",
        report_path=str(state.report),
    )
    write(state.subject, json.dumps(subject.to_document(), indent=2))


def _record(state: StateDir, desired: DesiredServer) -> Record:
    known = Ledger(FileStore(state.backend_store), by="").read().releases
    number = revisions.next_number(state, [each.release.revision for each in known if each.release])
    installed, plugin = environment.locate(desired.mlflow_version), package.locate()
    for folder, is_there in ((installed.path, environment.exists(installed)), (plugin.path, plugin.installed)):
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
