"""Our way from ASGI to Flask against kept WSGI bridges: CPU-seconds that the server takes for a request.

All variants of one MLflow version run at once and take turns under load. `mount` is MLflow's own: Flask mounted below
FastAPI by Starlette's bridge. `a2wsgi` and `starlette` replace only our bridge: the way past FastAPI stays.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.row import Row
from benchmarks.server import Load, costs, make_run, running
from mlflow_backend.environments import uv
from tests.server.servers import install_package
from tests.server.services import start_services

if TYPE_CHECKING:
    from collections.abc import Iterator

_VERSIONS = ("3.17.2", "3.4.0")
_A2WSGI = "a2wsgi==1.10.10"
_CLIENTS = 2
#: What our way must spare of the CPU that a request takes, to be worth its code.
_SPARED = 0.9
_REPLACED = """

from {module} import WSGIMiddleware as _Bridge


async def _through_bridge(self, scope, receive, send):
    if scope["type"] != "http" or not self._is_for_flask(scope["method"], scope["path"]):
        await self._fastapi(scope, receive, send)
        return
    if not hasattr(self, "bridge"):
        self.bridge = _Bridge(self._flask._app{arguments})
    await self.bridge(scope, receive, send)


Direct.__call__ = _through_bridge
"""
#: Variant -> what its copy of http/direct.py ends with.
_VARIANTS = {
    "ours": "",
    "mount": "\n\ndef can_go_direct(_fastapi_app):\n    return False\n",
    "a2wsgi": _REPLACED.format(module="a2wsgi", arguments=", workers=40"),
    "starlette": _REPLACED.format(module="starlette.middleware.wsgi", arguments=""),
}


def measure() -> Iterator[Row]:
    """Start the servers of each version and compare."""
    with tempfile.TemporaryDirectory(prefix="mlflow-backend-bench-") as folder, ExitStack() as stack:
        root = Path(folder)
        services = start_services(root)
        stack.callback(services.close)
        package = install_package(root / "package")
        packages = {name: _variant(package, root / name, ending) for name, ending in _VARIANTS.items()}
        for version in _VERSIONS:
            with ExitStack() as servers:
                started = {
                    name: servers.enter_context(running(services, each, root, version=version, workers=1))
                    for name, each in packages.items()
                }
                runs = {name: make_run(server) for name, server in started.items()}
                for kind in ("runs/get", "log-metric", "search"):
                    pairs = {server.port: (server, _load(kind, runs[name])) for name, server in started.items()}
                    cost = costs(pairs)
                    yield from _rows(f"{version} {kind}", {name: cost[started[name].port] for name in started})


def _variant(package: Path, folder: Path, ending: str) -> Path:
    """Return a copy of the package with another bridge in it."""
    shutil.copytree(package, folder)
    direct = folder / "mlflow_backend_server" / "http" / "direct.py"
    direct.write_text(direct.read_text() + ending)
    if "a2wsgi" in ending:
        target = ["--target", str(folder), "--python", sys.executable, _A2WSGI]
        subprocess.run([uv(), "pip", "install", "--quiet", "--no-deps", *target], check=True, timeout=300)
    return folder


def _rows(what: str, cost: dict[str, float]) -> Iterator[Row]:
    ours = cost.pop("ours")
    for name, other in cost.items():
        figures = f"{other * 1000:.2f} -> {ours * 1000:.2f} CPU-ms a request"
        ratio = ours / other
        yield Row(what=f"{what}: ours / {name}", value=ratio, unit="x", limit=_SPARED, figures=figures)


def _load(kind: str, run_id: str) -> Load:
    if kind == "runs/get":
        return Load(name=kind, clients=_CLIENTS, method="GET", path=f"/api/2.0/mlflow/runs/get?run_id={run_id}")
    path, document = {
        "log-metric": (
            "/api/2.0/mlflow/runs/log-metric",
            {"run_id": run_id, "key": "m", "value": 1.0, "timestamp": 1, "step": 1},
        ),
        "search": ("/api/2.0/mlflow/runs/search", {"experiment_ids": ["0"], "max_results": 10}),
    }[kind]
    return Load(name=kind, clients=_CLIENTS, method="POST", path=path, body=json.dumps(document).encode())
