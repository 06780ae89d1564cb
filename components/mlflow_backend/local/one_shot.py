"""One-shot commands of a local stack: the database tool.

Dumps and the ledger are in a folder of their own that the stack's S3 server does not serve, because rclone knows no
permissions: whatever has the server's key could read password hashes there. The tool writes them as files.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING

from mlflow_backend import environments, packaged
from mlflow_backend.local import credentials, encryption, environment, ports, processes, schema
from mlflow_backend.local.database import programs
from mlflow_backend.local.naming import AUTH_DATABASE, DATABASE, ROLE
from mlflow_backend.migrate.tool import MODULE, Code, ToolResult, tool_failed
from mlflow_backend.server import DatabaseAddress, database_uri

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow_backend.local.state import StateDir

TOOL = "database-tool"
_STOP_TIMEOUT_S = 5.0
_LOG_BYTES = 20_000


class ToolRunner:
    """Runs the database tool in the environment of one MLflow version."""

    def __init__(
        self, state: StateDir, version: str, *, client: Mapping[str, str] | None = None, users: bool = False
    ) -> None:
        """Take the version, and the variables of MLflow's client if the tool is to call the server.

        The users' database is worked on if it has a schema, and with `users` also if it is to get one.
        """
        self._state, self._version, self._client, self._users = state, version, client or {}, users

    def run(self, arguments: Sequence[str], *, deadline_s: float) -> ToolResult:
        """Run the tool, and end it with all that it started when the time is over."""
        installed = environment.locate(self._version)
        if not environments.exists(installed):
            finding = f"The environment of MLflow {self._version} is not installed."
            raise tool_failed(Code.FAILED, finding, "Run `make up`, which installs it.")
        command = [str(installed.path / "bin" / "python"), "-m", MODULE, *arguments]
        process = subprocess.Popen(
            command,
            env=self._environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
            cwd="/",
        )
        try:
            output, log = process.communicate(timeout=deadline_s)
        except subprocess.TimeoutExpired:
            finding = f"The database tool's `{arguments[0]}` had not ended after {deadline_s:.0f} s."
            raise tool_failed(Code.WORTH_RETRYING, finding, "See what holds the database's locks.") from None
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(timeout=_STOP_TIMEOUT_S)
        log = credentials.redact(self._state, log)
        self._keep(log)
        return ToolResult(code=process.returncode, output=output, log=log)

    def _environment(self) -> dict[str, str]:
        address = DatabaseAddress(
            host=ports.LOOPBACK,
            port=ports.known(self._state)["database"],
            name=DATABASE,
            user=ROLE,
            password=credentials.DATABASE,
        )
        live = None if self._users else schema.heads(self._state)
        has_users = self._users or (live is not None and live.auth is not None)
        users = {"MLFLOW_BACKEND_AUTH_DATABASE_URI": database_uri(address, database=AUTH_DATABASE)}
        return {
            **(users if has_users else {}),
            **{name: os.environ[name] for name in ("HOME", "LANG", "TMPDIR") if name in os.environ},
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "PYTHONPATH": str(packaged.SOURCE),
            "MLFLOW_BACKEND_STORE_URI": database_uri(address),
            "PGPASSWORD": credentials.read(self._state, credentials.DATABASE),
            "MLFLOW_BACKEND_POSTGRES_BIN": str(programs(self._state)),
            "MLFLOW_DISABLE_TELEMETRY": "true",
            **encryption.of_tool(self._state),
            processes.STATE_MARKER: str(self._state.path),
            processes.PROGRAM_MARKER: TOOL,
            **self._client,
        }

    def _keep(self, log: str) -> None:
        self._state.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = self._state.logs / f"{TOOL}.log"
        # A log that cannot be kept fails nothing.
        with contextlib.suppress(OSError):
            kept = path.read_text(encoding="utf-8", errors="replace")[-_LOG_BYTES:] if path.exists() else ""
            path.write_text(kept + log, encoding="utf-8")


def end_leftovers(state: StateDir) -> None:
    """End what a killed update left behind: it would finish its restore in the middle of ours.

    For what changes the databases or dumps them, which is done by one at a time; a dry run counts losses beside it.
    """
    processes.end(processes.marked(str(state.path), TOOL), timeout_s=_STOP_TIMEOUT_S)
