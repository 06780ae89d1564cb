"""One-shot commands of a local stack: the database tool, and the S3 server that dumps go through while it runs.

Dumps and the ledger lie in a folder of their own that the stack's S3 server does not serve, for rclone knows no
permissions: whatever has the server's key could read password hashes there. So a second one is started on that folder
for as long as a dump or a restore takes, and it accepts the operator's key only.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from typing import TYPE_CHECKING

from mlflow_backend import environments, packaged
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.local import credentials, encryption, environment, ports, processes, schema
from mlflow_backend.local.database import programs
from mlflow_backend.local.naming import AUTH_DATABASE, DATABASE, REGION, ROLE
from mlflow_backend.local.tools import installed
from mlflow_backend.migrate.tool import MODULE, Code, ToolResult, tool_failed
from mlflow_backend.pace import wait_until
from mlflow_backend.releases.stores import DUMPS, ROOT
from mlflow_backend.server import DatabaseAddress, database_uri

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mlflow_backend.local.state import StateDir

TOOL = "database-tool"
_STORE = "backend-store"
_START_TIMEOUT_S = 20.0
_STOP_TIMEOUT_S = 5.0
_POLL_S = 0.02
_LOG_BYTES = 20_000


class ToolRunner:
    """Runs the database tool in the environment of one MLflow version."""

    def __init__(
        self, state: StateDir, version: str, *, store: Mapping[str, str] | None = None, users: bool = False
    ) -> None:
        """Take the version, and the environment by which the tool reaches the dumps (of `serving_dumps`).

        The users' database is worked on if it has a schema, and with `users` also if it is to get one.
        """
        self._state, self._version, self._store, self._users = state, version, store or {}, users

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
            **self._store,
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
    processes.end(processes.marked(str(state.path), TOOL, _STORE), timeout_s=_STOP_TIMEOUT_S)


@contextlib.contextmanager
def serving_dumps(state: StateDir) -> Iterator[tuple[str, dict[str, str]]]:
    """Serve the stack's own folder by S3; give the address of dumps and the environment that reaches it.

    Raises PlatformFailed if the S3 server does not start.
    """
    (state.backend_store / ROOT).mkdir(mode=0o700, parents=True, exist_ok=True)
    state.backend_store.chmod(0o700)
    port = ports.free(frozenset(ports.known(state).values()))
    keys = [
        credentials.read(state, name) for name in (credentials.STORE_OPERATOR_ACCESS, credentials.STORE_OPERATOR_SECRET)
    ]
    options = ("--addr", f"{ports.LOOPBACK}:{port}", "--vfs-cache-mode", "off", "--config", "/dev/null")
    server = subprocess.Popen(
        [str(installed("rclone")), "serve", "s3", *options, str(state.backend_store)],
        env={
            **{name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ},
            "RCLONE_AUTH_KEY": f'"{keys[0]},{keys[1]}"',
            processes.STATE_MARKER: str(state.path),
            processes.PROGRAM_MARKER: _STORE,
        },
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        _await(server, port)
        reach = {
            "MLFLOW_S3_ENDPOINT_URL": f"http://{ports.LOOPBACK}:{port}",
            "AWS_ACCESS_KEY_ID": keys[0],
            "AWS_SECRET_ACCESS_KEY": keys[1],
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        yield f"s3://{DUMPS}", reach
    finally:
        server.terminate()
        try:
            server.wait(timeout=_STOP_TIMEOUT_S)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait(timeout=_STOP_TIMEOUT_S)


def _await(server: subprocess.Popen[bytes], port: int) -> None:
    wait_until(lambda: ports.listens(port) or server.poll() is not None, timeout_s=_START_TIMEOUT_S, poll_s=_POLL_S)
    if server.poll() is not None or not ports.listens(port):
        finding = f"the S3 server for dumps did not start on {ports.LOOPBACK}:{port}"
        raise PlatformFailed(
            finding, code="dump-store-not-answering", fix="End what holds that port, and repeat", part=_STORE
        )
