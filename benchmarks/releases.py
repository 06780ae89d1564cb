"""Releases on the local target: a rollback within the schema, planning and listing, and a new database's schema."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.local import server_start, verification
from benchmarks.row import Row, interleaved, seconds
from mlflow_backend.deployed import DeployedBackend
from mlflow_backend.local import environment, one_shot, revisions, schema
from mlflow_backend.local.platform import LocalPlatform
from mlflow_backend.local.ports import LOOPBACK
from mlflow_backend.local.render import Program
from mlflow_backend.local.state import StateDir
from mlflow_backend.migrate.tool import DatabaseTool
from mlflow_backend.releases import text
from mlflow_backend.releases.plan import Request, plan
from mlflow_backend.releases.records import VerifiedRelease
from mlflow_backend.releases.status import list_releases
from mlflow_backend.schema_tables import schema_table
from tests.engine.project import ROOT
from tests.engine.releases.support import command
from tests.engine.stack import LocalStack

if TYPE_CHECKING:
    from collections.abc import Iterator

_MANY = 1000
_RUNS = 5
_ROLLBACKS = 4
_VERSION = "3.17.2"
_COMMAND_TIMEOUT_S = 300
_LIST = """
import sys
from pathlib import Path
from mlflow_backend.commands.releases import main
main(["--stack", "local"], root=Path(sys.argv[1]))
"""


def measure() -> Iterator[Row]:
    """Measure on folders and a stack of its own, and leave nothing."""
    with tempfile.TemporaryDirectory(prefix="mlflow-backend-bench-") as folder:
        project = Path(folder) / "many"
        state = many(project)
        yield planning(state)
        yield listing(project)
        stack = LocalStack(Path(folder) / "stack")
        try:
            yield rollback(stack)
            yield new_database(stack)
        finally:
            stack.close()


def many(project: Path) -> StateDir:
    """Return a stack's folder with many revisions, each verified and in the ledger."""
    state = StateDir(project / ".backend" / "local")
    located = environment.install(_VERSION)
    ledger, heads = DeployedBackend(LocalPlatform(state)).ledger, schema_table().heads[_VERSION]
    for number in range(1, _MANY + 1):
        name = revisions.program_name(number)
        record = revisions.Record(
            number=number,
            mlflow_version=_VERSION,
            environment_lock=located.lock,
            port=20_000 + number,
            program=Program(name=name, argv=(str(located.mlflow), "server", "--host", LOOPBACK), tree=True),
            created_at=datetime.now(UTC),
            identity=str(number),
        )
        revisions.save(state, record)
        ledger.add_release(
            VerifiedRelease(
                target="local",
                revision=str(number),
                mlflow_version=_VERSION,
                heads=heads,
                settings_hash=str(number),
                verification_id=str(number),
                verdict="pass",
                environment_lock=located.lock,
            )
        )
    state.active.write_text(f"{LOOPBACK}:{20_000 + _MANY}")
    return state


def planning(state: StateDir) -> Row:
    """Read ledger and revisions, and plan; the database, which is not there, is said to be at the releases' schema."""
    target, live = DeployedBackend(LocalPlatform(state)), schema_table().heads[_VERSION]

    def work() -> None:
        plan(replace(target.rollback_context(), live=live), Request())

    (taken,) = interleaved(_RUNS, work)
    return Row(
        what=f"planning a rollback among {_MANY} revisions",
        value=taken,
        unit="s",
        limit=1.0,
        figures=f"ledger, revisions and plan, median of {_RUNS}",
    )


def listing(project: Path) -> Row:
    """List them: what the command does after its start."""
    target = DeployedBackend(LocalPlatform(StateDir(project / ".backend" / "local")))

    def work() -> None:
        context = target.rollback_context(verify_checksums=False)
        if len(text.table(list_releases(context), now=datetime.now(UTC))) != _MANY + 1:
            raise RuntimeError("not all were listed")

    inside, whole = interleaved(_RUNS, work, partial(_called, [sys.executable, "-c", _LIST, str(project)]))
    return Row(
        what=f"listing {_MANY} releases",
        value=inside,
        unit="s",
        limit=1.0,
        figures=f"median of {_RUNS}; {whole:.1f} s with the command's start",
    )


def rollback(stack: LocalStack) -> Row:
    """Compare a rollback within the schema, command to verified, with what it cannot do without."""
    for timeout in (300, 301):
        stack.write_settings(server={"mlflowVersion": _VERSION, "requestTimeout": timeout})
        stack.must_up("--skip-preview")
    ratios = []
    for number in range(_ROLLBACKS):
        whole = seconds(partial(_called, command(stack, "rollback", "--to", "12"[number % 2], "--yes")))
        ratios.append((whole, server_start(stack) + verification(stack)))
    whole, needed = sorted(ratios)[len(ratios) // 2]
    return Row(
        what="rollback within the schema / server start-to-healthy + verification",
        value=whole / needed,
        unit="x",
        limit=1.5,
        figures=f"{whole:.1f} s against {needed:.1f} s, MLflow {_VERSION}, median of {_ROLLBACKS}",
    )


def _called(line: list[str]) -> None:
    subprocess.run(line, cwd=ROOT, timeout=_COMMAND_TIMEOUT_S, stdout=subprocess.DEVNULL, check=True)


def new_database(stack: LocalStack) -> Row:
    """Compare filling a new database from its template with running MLflow's migrations on it."""
    target = DeployedBackend(LocalPlatform(stack.state))
    target.platform.stop_servers()

    def filled(tool: DatabaseTool) -> None:
        with schema.reading(stack.state) as cursor:
            cursor.execute("DROP SCHEMA public CASCADE")
            cursor.execute("CREATE SCHEMA public")
        tool.upgrade()

    template, plain = interleaved(
        _RUNS,
        lambda: filled(target.tool(_VERSION)),
        lambda: filled(DatabaseTool(one_shot.ToolRunner(stack.state, _VERSION))),
    )
    return Row(
        what="new database from its template / by MLflow's migrations",
        value=template / plain,
        unit="x",
        limit=0.25,
        figures=f"{template:.2f} s against {plain:.2f} s, medians of {_RUNS}",
    )
