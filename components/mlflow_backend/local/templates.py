"""The schema of a new database, kept from the first one of its kind: filling one from it takes a tenth of a second.

Running MLflow's migrations on an empty database costs a start of its Python, 8 s of CPU, at every first update. What
they made is dumped once, before any server has written to it, and belongs to the lock of that MLflow's environment.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_backend.local import credentials, environment, ports, schema
from mlflow_backend.local.database import programs
from mlflow_backend.local.naming import DATABASE, ROLE
from mlflow_backend.migrate.tool import DatabaseTool

if TYPE_CHECKING:
    from mlflow_backend.local.state import StateDir
    from mlflow_backend.migrate.tool import Runner

_TIMEOUT_S = 60


class TemplatedTool(DatabaseTool):
    """The database tool, which fills an empty database from a template if there is one."""

    def __init__(self, runner: Runner, state: StateDir, version: str) -> None:
        """Take the stack and the MLflow version that the runner runs the tool beside."""
        super().__init__(runner)
        self._state, self._version = state, version

    def upgrade(self) -> tuple[str, ...]:
        """Bring the databases to the head; what a template fills counts no revisions."""
        live = schema.heads(self._state)
        # The users' database has a schema of its own, which no template holds.
        if live is None or live.auth is not None or not schema.empty(self._state):
            return super().upgrade()
        template = _place(self._version)
        if template.exists() and _run(
            self._state, "pg_restore", "--single-transaction", "--exit-on-error", str(template)
        ):
            return ()
        applied = super().upgrade()
        # The database is at its head: a cache that cannot be written costs the next stack seconds.
        with contextlib.suppress(OSError):
            _keep(self._state, template)
        return applied


def _keep(state: StateDir, template: Path) -> None:
    template.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(dir=template.parent, prefix=".new-")
    os.close(descriptor)
    try:
        if _run(state, "pg_dump", "--format=custom", f"--file={name}"):
            Path(name).replace(template)
    finally:
        Path(name).unlink(missing_ok=True)


def _run(state: StateDir, program: str, *arguments: str) -> bool:
    """Run a Postgres client on the tracking database; return whether it did what it was asked for."""
    dsn = f"host={ports.LOOPBACK} port={ports.known(state)['database']} user={ROLE} dbname={DATABASE}"
    done = subprocess.run(
        [str(programs(state) / program), "--no-owner", "--no-privileges", f"--dbname={dsn}", *arguments],
        env={"PGPASSWORD": credentials.read(state, credentials.DATABASE)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        timeout=_TIMEOUT_S,
        check=False,
    )
    return done.returncode == 0


def _place(version: str) -> Path:
    located = environment.locate(version)
    return located.path.parent.parent / "schemas" / f"{version}-{located.lock}.dump"
