"""The maintenance of a backend by a task in its own network (`backup.maintain_job`), whatever its stores are on.

It runs in the server's image: each import here is in MLflow's environment, and the database tool is a process beside
it. It asks no platform.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Protocol

import psycopg2

from mlflow_backend.backup import job, tracked
from mlflow_backend.backup.create import LOCK
from mlflow_backend.backup.maintain_job import MaintainJob
from mlflow_backend.backup.objects import ObjectArtifacts
from mlflow_backend.backup.orphans import unnamed
from mlflow_backend.backup.task import Beside
from mlflow_backend.codec import from_document, to_document
from mlflow_backend.contract import BackendError, ExitCode, PlatformFailed, Refused
from mlflow_backend.maintenance import BY, KeptDump, Maintained, by_experiment
from mlflow_backend.migrate.tool import DatabaseTool
from mlflow_backend.releases.stores import DUMPS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from contextlib import AbstractContextManager

    from mlflow_backend.backup.objects import Bucket

    class Objects(Bucket, Protocol):
        """The objects below a root, of which whoever works on them holds a lock."""

        def locked(self, name: str, *, by: str) -> AbstractContextManager[None]:
            """See releases.stores.Store."""


_URI: Final = "MLFLOW_BACKEND_STORE_URI"
_CONNECT_S: Final = 10
_STATEMENT_S: Final = 60
_POLL_S: Final = 15


def main(arguments: Sequence[str], objects: Callable[[job.Bucket], Objects]) -> int:
    """Do what the folder of the first argument describes, and print the report as JSON, at the end.

    `objects` returns what is below a root in a bucket, asked with the task's own identity.
    """
    options, code = _parser().parse_args(arguments), ExitCode.DONE
    report: dict[str, Any]
    try:
        report = {"maintained": to_document(_maintained(options, objects))}
    except BackendError as failure:
        report, code = {"code": failure.code, "error": str(failure)}, failure.exit_code
    sys.stdout.write(f"{json.dumps({'exit_code': int(code), **report}, indent=1)}\n")
    return int(code)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="maintain", description="Maintain a backend from within its network.")
    parser.add_argument("folder", type=Path, help="holds the job")
    parser.add_argument("--dry-run", action="store_true", help="only say what would be removed")
    parser.add_argument("--keep-deleted-days", type=int, help="instead of the job's")
    parser.add_argument("--wait", type=float, default=0.0, metavar="S", help="seconds to wait for a backup under way")
    return parser


def _maintained(options: argparse.Namespace, objects: Callable[[job.Bucket], Objects]) -> Maintained:
    wanted = from_document(MaintainJob, json.loads((options.folder / job.JOB).read_text()))
    days = options.keep_deleted_days or wanted.keep_deleted_days
    own, tool = objects(wanted.store), DatabaseTool(Beside())
    with _locked(own, wait_s=options.wait):
        report = tool.maintain(days=days, at_once=wanted.at_once, dry_run=options.dry_run)
        artifacts = ObjectArtifacts(objects(replace(wanted.store, root=wanted.artifacts)))
        stored = {each.path: each.size_bytes for each in artifacts.listing()}
        # Rows are read after the files: a file is written after the row that names it.
        with _reading() as cursor:
            names, rows = tracked.experiments(cursor), tracked.named_artifacts(cursor)
        return Maintained(
            dry_run=options.dry_run,
            removed=report["removed"],
            kept=report["kept"],
            databases=report["databases"],
            temporary_files=None,
            temporary_bytes=0,
            experiments=by_experiment(stored, names),
            lost={path: stored[path] for path in unnamed(stored, rows, root=wanted.address)},
            dumps=_dumps(own),
            kept_databases=tool.kept(),
        )


@contextlib.contextmanager
def _locked(store: Objects, *, wait_s: float) -> Iterator[None]:
    """Hold the lock that backups hold too, once it is free. Raises Refused if it is not in time."""
    ends = time.monotonic() + wait_s
    with contextlib.ExitStack() as held:
        while True:
            try:
                held.enter_context(store.locked(LOCK, by=BY))
            except Refused:
                if time.monotonic() >= ends:
                    raise
                time.sleep(_POLL_S)
            else:
                break
        yield


@contextlib.contextmanager
def _reading() -> Iterator[Any]:
    """Give a cursor on the tracking database, whose URI is SQLAlchemy's. Raises PlatformFailed."""
    scheme, _, rest = os.environ[_URI].partition("://")
    try:
        connection = psycopg2.connect(
            f"{scheme.partition('+')[0]}://{rest}",
            connect_timeout=_CONNECT_S,
            options=f"-c statement_timeout={_STATEMENT_S}s",
        )
        with contextlib.closing(connection), connection.cursor() as cursor:
            yield cursor
    except psycopg2.Error as error:
        raise PlatformFailed(
            f"the database does not answer: {type(error).__name__}",
            code="maintain-task-database-not-answering",
            fix="Run `make status`, and repeat",
            part="database",
        ) from None


def _dumps(own: Objects) -> tuple[KeptDump, ...]:
    """Return the dumps of migrations, the oldest first."""
    parts: dict[str, list[Any]] = {}
    for each in own.listing(DUMPS):
        parts.setdefault(each.key.removeprefix(f"{DUMPS}/").partition("/")[0], []).append(each)
    found = (
        KeptDump(
            name=name,
            bytes=sum(each.size_bytes for each in files),
            taken_at=max(each.written_at for each in files),
        )
        for name, files in parts.items()
    )
    return tuple(sorted(found, key=lambda each: each.taken_at))
