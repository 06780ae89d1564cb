"""Backup and restore of a local stack against the database's own programs, and what users feel of a backup.

Both do the same on the same data: dumps of both databases, and a copy of every artifact. They take turns, each into an
empty folder. Rows are made in the database itself, and artifacts cannot be compressed.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import tempfile
import threading
import time
from contextlib import ExitStack, closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

import urllib3

from benchmarks.row import Row, seconds
from benchmarks.users import FILLING
from mlflow_backend.backup import create, restore, sealing
from mlflow_backend.backup.destination import FolderDestination
from mlflow_backend.deployed import DeployedBackend
from mlflow_backend.local import credentials, database, ports
from mlflow_backend.local.backups import source_of
from mlflow_backend.local.naming import ARTIFACT_ROOT, AUTH_DATABASE, DATABASE, ROLE
from mlflow_backend.local.platform import LocalPlatform
from mlflow_backend.local.postgres import ADMIN, session
from tests.engine.stack import LocalStack

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlflow_backend.backup.manifest import Manifest
    from mlflow_backend.backup.source import DeployedSource
    from mlflow_backend.local.state import StateDir

_TURNS: Final = 3
_RUNS: Final = 4_000
_KEYS: Final = 10
"""Metrics of a run; each has as many values."""
_ARTIFACTS: Final = 16
_ARTIFACT_BYTES: Final = 8 << 20
_FILL_S: Final = 600
_LIMIT, _FELT = 1.3, 1.5
_QUIET_S: Final = 10.0
_SCRATCH: Final = "bench_plain"
_API: Final = "/api/2.0/mlflow"


class _Unserved(DeployedBackend):
    """A backend whose server is not started again after a restore: the databases' programs start none either."""

    def serve(self, revision: str) -> None:
        del revision


def measure() -> Iterator[Row]:
    """Deploy a stack of its own, fill it, measure, and leave nothing."""
    with tempfile.TemporaryDirectory(prefix="mlflow-backend-bench-") as name, ExitStack() as around:
        folder = Path(name)
        stack = around.enter_context(closing(LocalStack(folder / "stack")))
        stack.write_settings(access={"mode": "basic"}, server={"workers": 1})
        stack.must_up()
        run = _fill(stack.state)
        key = sealing.new_key()
        source = replace(source_of(stack.state, settings=b"config: {}"), deployed=_Unserved(LocalPlatform(stack.state)))
        yield _felt(stack.state, source, folder, key, run)
        taken, plain, kept, found = _backups(stack.state, source, folder, key)
        yield _compared("backup / pg_dump and a copy", taken, plain, _size(kept.folder))
        source.deployed.platform.stop_servers()
        yield _compared(
            "restore / pg_restore and a copy",
            *_restores(stack.state, source, folder, kept, found=found, key=key),
            _size(kept.folder),
        )


def _fill(state: StateDir) -> str:
    """Write runs and artifacts, and return the id of a run."""
    port, password = ports.known(state)["database"], credentials.read(state, credentials.DATABASE)
    with session(port, ROLE, password, DATABASE, statement_s=_FILL_S) as cursor:
        cursor.execute(FILLING.format(experiment=0, runs=_RUNS, keys=_KEYS))
        cursor.execute("SELECT md5('bench1')")
        (run,) = cursor.fetchone()
    artifacts = source_of(state).artifacts
    for number in range(_ARTIFACTS):
        content = os.urandom(_ARTIFACT_BYTES)
        artifacts.create(f"0/{run}/artifacts/{number}.bin", iter([content]), size_bytes=len(content))
    return str(run)


def _felt(state: StateDir, source: DeployedSource, folder: Path, key: str, run: str) -> Row:
    """Compare how long one client waits for a run while a backup is taken with how long else."""
    asked = _Asked(state, run)
    quiet = asked.during(lambda: time.sleep(_QUIET_S))
    beside = asked.during(lambda: _backup(source, folder / "felt", key))
    shutil.rmtree(folder / "felt")
    before, meanwhile = (statistics.quantiles(times, n=20)[-1] * 1000 for times in (quiet, beside))
    figures = f"{before:.1f} -> {meanwhile:.1f} ms, of {len(quiet)} and {len(beside)} answers"
    what = "p95 of runs/get while a backup is taken / else"
    return Row(what=what, value=meanwhile / before, unit="x", limit=_FELT, figures=figures)


class _Asked:
    """One client that reads a run, again and again, as the administrator."""

    def __init__(self, state: StateDir, run: str) -> None:
        self._url = f"http://{ports.LOOPBACK}:{ports.known(state)['front']}{_API}/runs/get?run_id={run}"
        login = f"{credentials.ADMIN_NAME}:{credentials.read(state, credentials.ADMIN)}"
        self._headers = urllib3.make_headers(basic_auth=login)
        self._pool = urllib3.PoolManager(retries=False, timeout=60)
        for _ in range(100):
            self._ask()

    def during(self, work: Callable[[], object]) -> list[float]:
        """Return how long each answer took while a work was done."""
        times: list[float] = []
        ended = threading.Event()

        def ask() -> None:
            while not ended.is_set():
                times.append(seconds(self._ask))

        client = threading.Thread(target=ask)
        client.start()
        try:
            work()
        finally:
            ended.set()
            client.join()
        return times

    def _ask(self) -> None:
        answer = self._pool.request("GET", self._url, headers=self._headers)
        if answer.status != 200:  # noqa: PLR2004 - HTTP
            raise RuntimeError(f"the run was answered with {answer.status} {answer.data[:200]!r}")


def _backup(source: DeployedSource, folder: Path, key: str) -> tuple[FolderDestination, Manifest]:
    destination = FolderDestination(folder)
    public = sealing.public_key(key)
    return destination, create.create(source, destination, recovery_key=public, say=lambda _line: None)


def _backups(
    state: StateDir, source: DeployedSource, folder: Path, key: str
) -> tuple[list[float], list[float], FolderDestination, Manifest]:
    """Return the seconds of each backup and of each plain one, and the last backup."""
    taken, plain = [], []
    for _ in range(_TURNS):
        shutil.rmtree(folder / "kept", ignore_errors=True)
        shutil.rmtree(folder / "plain", ignore_errors=True)
        began = time.perf_counter()
        kept, found = _backup(source, folder / "kept", key)
        taken.append(time.perf_counter() - began)
        plain.append(seconds(lambda: _dump(state, folder / "plain")))
    return taken, plain, kept, found


def _dump(state: StateDir, folder: Path) -> None:
    folder.mkdir()
    for name in (DATABASE, AUTH_DATABASE):
        _run(state, "pg_dump", "--format=custom", f"--file={folder / name}.dump", name)
    shutil.copytree(_artifacts(state), folder / "artifacts")


def _restores(  # noqa: PLR0913 - a backend, a backup of it, and its key
    state: StateDir, source: DeployedSource, folder: Path, kept: FolderDestination, *, found: Manifest, key: str
) -> tuple[list[float], list[float]]:
    """Return the seconds of each restore and of each plain one; both bring every artifact, and new databases."""
    restored, plain = [], []
    for _ in range(_TURNS):
        for each in source.artifacts.listing():
            (_artifacts(state) / each.path).unlink()
        restored.append(seconds(lambda: _restore(source, kept, found, key)))
        source.tool(found.mlflow_version).drop_kept()
        plain.append(seconds(lambda: _load(state, folder)))
        shutil.rmtree(folder / "copied")
        _each_scratch(state, "DROP DATABASE {}")
    return restored, plain


def _restore(source: DeployedSource, kept: FolderDestination, found: Manifest, key: str) -> None:
    planned = restore.plan(source, kept, found, has_key=True)
    if len(planned.missing) != found.artifacts.files:
        raise RuntimeError(f"{len(planned.missing)} of {found.artifacts.files} artifacts are to be written")
    restore.restore(source, kept, planned, key=key, say=lambda _line: None)


def _load(state: StateDir, folder: Path) -> None:
    _each_scratch(state, "CREATE DATABASE {}")
    for name in (DATABASE, AUTH_DATABASE):
        options = ("--no-owner", "--single-transaction", "--exit-on-error")
        _run(state, "pg_restore", *options, f"--dbname={_SCRATCH}_{name}", str(folder / "plain" / f"{name}.dump"))
    shutil.copytree(folder / "plain" / "artifacts", folder / "copied")


def _each_scratch(state: StateDir, statement: str) -> None:
    password = credentials.read(state, credentials.DATABASE_ADMIN)
    with session(ports.known(state)["database"], ADMIN, password, ADMIN, statement_s=60) as cursor:
        for name in (DATABASE, AUTH_DATABASE):
            cursor.execute(statement.format(f"{_SCRATCH}_{name}"))


def _run(state: StateDir, program: str, *arguments: str) -> None:
    """Run a program of Postgres as the administrator."""
    login = {
        "PGHOST": ports.LOOPBACK,
        "PGPORT": str(ports.known(state)["database"]),
        "PGUSER": ADMIN,
        "PGPASSWORD": credentials.read(state, credentials.DATABASE_ADMIN),
    }
    subprocess.run(
        [str(database.binaries() / program), *arguments], env={**os.environ, **login}, check=True, timeout=_FILL_S
    )


def _artifacts(state: StateDir) -> Path:
    return state.store / ARTIFACT_ROOT.removeprefix("s3://")


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _compared(what: str, ours: list[float], plain: list[float], size: int) -> Row:
    took, needed = statistics.median(ours), statistics.median(plain)
    figures = f"{took:.1f} s against {needed:.1f} s, medians of {_TURNS}; {size >> 20} MiB"
    return Row(what=what, value=took / needed, unit="x", limit=_LIMIT, figures=figures)
