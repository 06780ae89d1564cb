"""MLflow servers with the plugin in them, as real processes."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import urllib3

from mlflow_backend.new_keys import draw
from mlflow_backend.server import keys
from tests.server.environments import python
from tests.server.services import PROJECT, Process, Services, free_port, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

KEYS = draw()
START_DEADLINE_S = 150
GUNICORN = "--worker-class mlflow_backend_server.http.worker.Worker --threads 8"
_STARTS = "MLFLOW_BACKEND_SERVER_STARTS"
#: MLflow 3.3.0 and newer have FastAPI and start uvicorn by default.
UVICORN_SINCE = (3, 3)


def has_uvicorn(version: str) -> bool:
    """Return whether this MLflow serves by uvicorn."""
    return tuple(int(part) for part in version.split(".")[:2]) >= UVICORN_SINCE


@contextmanager
def serving(services: Services, **described: Any) -> Iterator[Server]:
    """Serve what is described on a database of its own; afterwards neither is left. Yields the healthy server."""
    database = f"s_{secrets.token_hex(4)}"
    services.postgres.create(database)
    server = Server(services=services, database=database, **described)
    try:
        yield server.start()
    finally:
        server.stop()
        services.postgres.drop(database)


def install_package(folder: Path) -> Path:
    """Install the server package, with its entry point, into a folder for PYTHONPATH."""
    uv = next(path for path in (PROJECT / ".venv/bin/uv", PROJECT / ".tools/uv/bin/uv") if path.exists())
    target = ["--target", str(folder), "--python", sys.executable, str(PROJECT / "server")]
    subprocess.run([uv, "pip", "install", "--quiet", "--no-deps", *target], check=True, timeout=300)
    return folder


@cache
def pool() -> urllib3.PoolManager:
    """Return the connections of the tests."""
    return urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=5, read=30), maxsize=32)


@dataclass(kw_only=True)
class Server:
    """One `mlflow server` on Postgres, S3 and, where `redis` says so, Valkey; `options` are those of its web server."""

    version: str
    services: Services
    database: str
    package: Path
    folder: Path
    workers: int = 1
    gunicorn: bool = False
    plugin: bool = True
    settings: Mapping[str, str] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    options: str = ""
    port: int = field(default_factory=free_port)
    process: Process | None = None

    @property
    def url(self) -> str:
        """The address of the server."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        """All that the server has printed."""
        return (self.folder / f"{self.port}.log").read_text(errors="replace")

    def environment(self) -> dict[str, str]:
        """Return what the server process gets."""
        return {
            "MLFLOW_BACKEND_STORE_URI": self.services.postgres.uri(self.database),
            "PGPASSWORD": self.services.postgres.password,
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",
            "MLFLOW_DISABLE_TELEMETRY": "true",
            "MLFLOW_FLASK_SERVER_SECRET_KEY": "test",
            **{variable: KEYS[name] for variable, name in keys.VARIABLES.items()},
            "PYTHONPATH": str(self.package),
            "PYTHONWARNINGS": "ignore",
            "TMPDIR": str(self.folder),
            **self.services.store.environment,
            **self.settings,
        }

    @property
    def group(self) -> int:
        """The id of its process group."""
        assert self.process is not None
        return self.process.group

    def start(self, *, healthy: bool = True) -> Server:
        """Start it and wait until it is healthy."""
        if starts := os.environ.get(_STARTS):
            with Path(starts).open("a") as ledger:
                ledger.write(f"{self.version}\n")
        self.folder.mkdir(parents=True, exist_ok=True)
        stack = ["--gunicorn-opts", f"{GUNICORN} {self.options}".strip()] if self.by_gunicorn else []
        if self.options and not stack:
            stack = ["--uvicorn-opts", self.options]
        arguments = [
            *(str(python(self.version).parent / "mlflow"), "server", "--host", "127.0.0.1", "--port", str(self.port)),
            *("--workers", str(self.workers), "--artifacts-destination", "s3://mlflow/artifacts", "--serve-artifacts"),
            *(("--app-name", "mlflow-backend") if self.plugin else ()),
            *stack,
            *self.flags,
        ]
        self.process = Process(
            arguments=arguments, log=self.folder / f"{self.port}.log", environment=self.environment()
        )
        self.process.start()
        if healthy:
            try:
                until(self._is_healthy, what=f"MLflow {self.version}", deadline_s=START_DEADLINE_S)
            except AssertionError:
                print(self.log[-6000:])
                self.stop()
                raise
        return self

    def stop(self) -> None:
        """End it with all its processes."""
        if self.process is not None:
            self.process.stop(signal.SIGTERM)

    def get(self, path: str, **headers: str) -> urllib3.BaseHTTPResponse:
        """GET a path; header names with underscores for hyphens."""
        return self.send("GET", path, headers=headers)

    def send(
        self, method: str, path: str, *, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> urllib3.BaseHTTPResponse:
        """Send one request."""
        named = {name.replace("_", "-"): value for name, value in (headers or {}).items()}
        return pool().request(method, self.url + path, body=body, headers=named)

    def api(self, method: str, path: str, document: Any = None, **headers: str) -> Any:
        """Call MLflow's REST API and return its answer, which must be 200."""
        body = None if document is None else json.dumps(document).encode()
        answer = self.send(method, path, body=body, headers={"content-type": "application/json", **headers})
        assert answer.status == 200, answer.data
        return json.loads(answer.data)

    @property
    def by_gunicorn(self) -> bool:
        """Whether gunicorn serves."""
        return self.gunicorn or not has_uvicorn(self.version)

    def _is_healthy(self) -> bool:
        assert self.process is not None
        assert self.process.child is not None
        assert self.process.child.poll() is None, "the server has ended"
        return self.get("/health").status == 200
