"""What users wait for, through the backend's server and through stock MLflow: models, traces, searches in many runs.

Both servers work on one database and one store, and take turns, so that the machine's mood meets both alike. The runs
are made in the database itself: by the API they would take hours.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import statistics
import subprocess
import tempfile
import time
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil
import urllib3

from benchmarks.row import Row, interleaved
from benchmarks.server import STOCK, Load, drive
from mlflow_backend.verify.clients import environment
from mlflow_backend.verify.clients.run import QUIET
from tests.server.servers import Server, install_package
from tests.server.services import Process, Services, free_port, start_services, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_VERSION: Final = "3.17.2"
_WORKERS: Final = 4
_RUNS: Final = 20_000
_KEYS: Final = 10
"""Metrics of a run; each has as many values."""
_PAGE: Final = 100
_DEEP: Final = 50
"""Pages that are turned before the one that is measured."""
_TURNS: Final = {"model": 9, "trace": 31, "search": 41}
_MODEL, _OTHER = 1.1, 1.05
_API: Final = "/api/2.0/mlflow"
_SERVED_S: Final = 5.0
_BODY: Final = b'{"inputs": [[1.0], [2.0]]}'

_CLIENT: Final = """
import os, sys, time, warnings
warnings.simplefilter("ignore")
import mlflow, numpy
from sklearn.linear_model import LinearRegression
name, client = sys.argv[1], mlflow.MlflowClient()
mlflow.set_experiment(name)
fitted = LinearRegression().fit(numpy.array([[1.0], [2.0], [3.0]]), [2.0, 4.0, 6.0])

def model():
    with mlflow.start_run():
        made = mlflow.sklearn.log_model(fitted, name="model", registered_model_name=name, pip_requirements=[])
    client.set_registered_model_alias(name, "champion", made.registered_model_version)
    mlflow.pyfunc.load_model(f"models:/{name}@champion").predict(numpy.array([[4.0]]))

def trace():
    with mlflow.start_span("root"):
        for number in range(10):
            with mlflow.start_span(f"step {number}") as span:
                span.set_inputs({"question": "x" * 200})

answers = os.fdopen(os.dup(1), "w")
os.dup2(2, 1)
for line in sys.stdin:
    began = time.perf_counter()
    globals()[line.strip()]()
    print(time.perf_counter() - began, file=answers, flush=True)
"""
"""What MLflow's client does on each line of its standard input, and how long that took."""

FILLING: Final = """
INSERT INTO runs (run_uuid, name, source_type, user_id, status, start_time, lifecycle_stage, artifact_uri,
  experiment_id)
SELECT md5('bench' || r), 'run ' || r, 'LOCAL', 'ann', 'FINISHED', 1700000000000 + r, 'active',
  'mlflow-artifacts:/{experiment}/' || md5('bench' || r) || '/artifacts', {experiment}
FROM generate_series(1, {runs}) r;
INSERT INTO metrics (key, value, timestamp, run_uuid, step, is_nan)
SELECT 'm' || k, (hashtext(r || '-' || k || '-' || s) & 2147483647) / 2147483648.0, 1700000000000 + s,
  md5('bench' || r), s, false
FROM generate_series(1, {runs}) r, generate_series(1, {keys}) k, generate_series(1, {keys}) s;
INSERT INTO latest_metrics (key, value, timestamp, run_uuid, step, is_nan)
SELECT key, value, timestamp, run_uuid, step, is_nan FROM metrics WHERE step = {keys};
INSERT INTO params (key, value, run_uuid)
SELECT 'p' || k, k::text, md5('bench' || r) FROM generate_series(1, {runs}) r, generate_series(1, {keys}) k;
ANALYZE
"""
"""Runs with their metrics and parameters, as MLflow 3.17.2 stores them.

Each SELECT makes its rows in the database. COPY would have to be sent them, and has the same indexes to fill.
"""


def measure() -> Iterator[Row]:
    """Start both servers on one database, and measure each in turn."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        root = Path(folder)
        services = start_services(root)
        stack.callback(services.close)
        database = f"bench_{secrets.token_hex(4)}"
        services.postgres.create(database)
        described: dict[str, Any] = {
            "version": _VERSION, "services": services, "database": database, "workers": _WORKERS, "folder": root,
            "package": install_package(root / "package"),
        }  # fmt: skip
        stock = stack.enter_context(_started(Server(**described, plugin=False, flags=STOCK)))
        ours = stack.enter_context(_started(Server(**described)))
        servers = (stock, ours)
        yield from _by_client(servers, root, stack)
        yield from _searches(servers, services, database)
        yield from _served(ours, root)


@contextmanager
def _started(server: Server) -> Iterator[Server]:
    try:
        yield server.start()
    finally:
        server.stop()


def _by_client(servers: tuple[Server, Server], root: Path, stack: ExitStack) -> Iterator[Row]:
    clients = [stack.enter_context(_client(server, f"bench-{number}", root)) for number, server in enumerate(servers)]
    for what, named, limit in (
        ("model", "log a model, register it, load it by its alias", _MODEL),
        ("trace", "log a trace of 11 spans", _OTHER),
    ):
        for act in clients:
            act(what)
        times: list[list[float]] = [[], []]
        for _ in range(_TURNS[what]):
            for taken, act in zip(times, clients, strict=True):
                taken.append(act(what))
        yield _compared(named, [statistics.median(taken) for taken in times], limit, _TURNS[what])


@contextmanager
def _client(server: Server, name: str, root: Path) -> Iterator[Callable[[str], float]]:
    """Run MLflow's client at a server. Yields what has it do one thing, and returns the seconds that it took."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MLFLOW_")}
    own = {"MLFLOW_TRACKING_URI": server.url, "MLFLOW_ENABLE_ASYNC_TRACE_LOGGING": "false", "TMPDIR": str(root)}
    line = [str(environment.install(_VERSION)), "-c", _CLIENT, name]
    with subprocess.Popen(
        line,
        env={**clean, **QUIET, **own},
        cwd=root,
        text=True,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as process:

        def act(what: str) -> float:
            if process.stdin is None or process.stdout is None:
                raise AssertionError
            process.stdin.write(f"{what}\n")
            process.stdin.flush()
            return float(process.stdout.readline())

        try:
            yield act
        finally:
            process.kill()


def _searches(servers: tuple[Server, Server], services: Services, database: str) -> Iterator[Row]:
    created = servers[0].api("POST", f"{_API}/experiments/create", {"name": "many runs"})
    experiment = str(created["experiment_id"])
    _fill(services, database, experiment)
    count = f"{_RUNS:,} runs, {_RUNS * _KEYS**2:,} metrics"
    wanted = {"experiment_ids": [experiment], "filter": "metrics.m3 > 0.99 and metrics.m5 < 0.5", "max_results": _PAGE}
    yield _searched(f"search runs by two metrics ({count})", servers, wanted)
    paged = {"experiment_ids": [experiment], "order_by": ["metrics.m3 DESC"], "max_results": _PAGE}
    token = ""
    for _ in range(_DEEP):
        token = servers[1].api("POST", f"{_API}/runs/search", {**paged, "page_token": token})["next_page_token"]
    yield _searched(f"page {_DEEP + 1} of a search, {_PAGE} runs each", servers, {**paged, "page_token": token})


def _searched(what: str, servers: tuple[Server, Server], wanted: dict[str, object]) -> Row:
    pool, body = urllib3.PoolManager(retries=False, timeout=120), json.dumps(wanted).encode()

    def search(server: Server) -> None:
        headers = {"content-type": "application/json"}
        answer = pool.request("POST", f"{server.url}{_API}/runs/search", body=body, headers=headers)
        if answer.status != 200 or not json.loads(answer.data).get("runs"):  # noqa: PLR2004 - HTTP
            raise RuntimeError(f"the search was answered with {answer.status} {answer.data[:200]!r}")

    works = [partial(search, server) for server in servers]
    for work in works * _WORKERS * 2:
        work()  # each worker opens its connections once
    return _compared(what, interleaved(_TURNS["search"], *works), _OTHER, _TURNS["search"])


def _compared(what: str, medians: list[float], limit: float, turns: int) -> Row:
    stock, ours = (median * 1000 for median in medians)
    figures = f"{stock:.0f} -> {ours:.0f} ms, medians of {turns}"
    return Row(what=f"{what}: ours / stock", value=ours / stock, unit="x", limit=limit, figures=figures)


def _fill(services: Services, database: str, experiment: str) -> None:
    """Make the runs, with their metrics, in the database itself."""
    sizes = {"runs": _RUNS, "keys": _KEYS, "experiment": int(experiment)}
    for statement in FILLING.format(**sizes).split(";"):
        services.postgres.execute(database, statement)


def _served(server: Server, root: Path) -> Iterator[Row]:
    """Serve the registered model by MLflow's own command: latency and throughput of its answers, and its memory."""
    port = free_port()
    python = environment.install(_VERSION)
    process = Process(
        arguments=[
            *(str(python.parent / "mlflow"), "models", "serve", "--model-uri", "models:/bench-1@champion"),
            *("--env-manager", "local", "--host", "127.0.0.1", "--port", str(port)),
        ],
        log=root / "served.log",
        environment={
            **QUIET, "MLFLOW_TRACKING_URI": server.url, "TMPDIR": str(root), "HOME": str(root),
            "PATH": f"{python.parent}:/usr/bin:/bin",
        },
    )  # fmt: skip
    pool = urllib3.PoolManager(retries=False, timeout=10)
    process.start()
    try:
        until(lambda: pool.request("GET", f"http://127.0.0.1:{port}/ping").status == 200, what="it", deadline_s=120)  # noqa: PLR2004 - HTTP
        rates = {}
        for clients in (1, 8):
            began = time.perf_counter()
            answered = drive(
                port, Load(name="served", clients=clients, method="POST", path="/invocations", body=_BODY), _SERVED_S
            )
            rates[clients] = answered / (time.perf_counter() - began)
        first = psutil.Process(process.group)
        group = [first, *first.children(recursive=True)]
        mebibytes = sum(each.memory_full_info().pss for each in group) / (1 << 20)
    finally:
        process.stop(signal.SIGTERM)
    figures = f"{rates[1]:.0f} requests/s from 1 client, {rates[8]:.0f} from 8; {mebibytes:.0f} MiB"
    yield Row(what="`mlflow models serve`: an answer", value=1000 / rates[1], unit="ms", limit=50, figures=figures)
