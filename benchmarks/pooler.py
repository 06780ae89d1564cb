"""Whether a pooler (PgBouncer) or a cache of experiments' metadata would serve users of one MLflow on Postgres.

Two servers with the plugin, one of them through PgBouncer, take turns on one Postgres, each with its own database. What
a cache could spare is bounded by Postgres's own log: what statements on experiments take of a training's requests.
"""

from __future__ import annotations

import http
import http.client
import json
import re
import secrets
import signal
import statistics
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from benchmarks.row import Row
from benchmarks.server import make_run
from tests import apt
from tests.server.servers import Server, install_package
from tests.server.services import Process, Services, free_port, start_services, until

if TYPE_CHECKING:
    from collections.abc import Iterator

_VERSION: Final = "3.17.2"
_WORKERS: Final = 4
_CLIENTS: Final = 16
_POOL: Final = 20
"""Connections of PgBouncer to the database: its default."""
_ROUNDS: Final = 5
_SECONDS: Final = 4.0
_BATCH: Final = 20
_RUNS: Final = 40
_API: Final = "/api/2.0/mlflow"
_FASTER: Final = 1.25
"""From this on a pooler would be felt."""
_SPARED_PERCENT: Final = 10.0
_FIGURES: Final = ("p50", "p95", "answers", "connections")
_STATEMENT: Final = re.compile(r"duration: ([\d.]+) ms  statement: (.*)")


def measure() -> Iterator[Row]:
    """Start all, and measure the pooler, then the statements on experiments."""
    if (reason := apt.why_missing(("pgbouncer",))) is not None:
        raise RuntimeError(reason)
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        root = Path(name)
        root.chmod(0o755)
        services = start_services(root)
        stack.callback(services.close)
        package, port = install_package(root / "package"), free_port()
        pooler = _pooler(services, root, port)
        stack.callback(pooler.stop, signal.SIGKILL)
        servers = []
        for pooled in (False, True):
            database = f"bench_{secrets.token_hex(4)}"
            uri = services.postgres.create(database)
            own = uri.replace(f":{services.postgres.port}/", f":{port}/") if pooled else uri
            server = Server(
                version=_VERSION, services=services, database=database, package=package, folder=root,
                workers=_WORKERS, settings={"MLFLOW_BACKEND_STORE_URI": own},
            )  # fmt: skip
            stack.callback(server.stop)
            servers.append(server.start())
        yield from _by_pooler(*servers)
        yield _by_cache(servers[0], root / "pg" / "postgres.log")


def _pooler(services: Services, root: Path, port: int) -> Process:
    """Start PgBouncer with transaction pooling; it refuses to run as root."""
    postgres, folder = services.postgres, root / "pooler"
    folder.mkdir()
    users, config = folder / "users", folder / "pgbouncer.ini"
    users.write_text(f'"mlflow" "{postgres.password}"\n')
    lines = [
        "[databases]", f"* = host=127.0.0.1 port={postgres.port}", "[pgbouncer]", "listen_addr = 127.0.0.1",
        f"listen_port = {port}", "unix_socket_dir =", "auth_type = scram-sha-256", f"auth_file = {users}",
        "pool_mode = transaction", f"default_pool_size = {_POOL}", f"max_client_conn = {_CLIENTS * 10}",
    ]  # fmt: skip
    config.write_text("\n".join(lines) + "\n")
    arguments = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "pgbouncer", str(config))
    process = Process(arguments=arguments, log=root / "pgbouncer.log")
    process.start()
    until(lambda: "listening on" in process.log.read_text(), what="PgBouncer")
    return process


@dataclass(frozen=True, kw_only=True)
class _Request:
    """A request of a training."""

    method: str
    path: str
    body: bytes = b""


def _by_pooler(direct: Server, pooled: Server) -> Iterator[Row]:
    metrics = [{"key": f"m{number}", "value": 1.0, "timestamp": 1, "step": number} for number in range(_BATCH)]
    gets, batches = [], []
    for server in (direct, pooled):
        run = make_run(server)
        gets.append(_Load(server, "GET", f"{_API}/runs/get?run_id={run}"))
        body = json.dumps({"run_id": run, "metrics": metrics}).encode()
        batches.append(_Load(server, "POST", f"{_API}/runs/log-batch", body))
    for what, loads in (("runs/get", gets), (f"log-batch of {_BATCH}", batches)):
        for load in loads:
            load.drive()  # each worker opens its connections once
            load.times.clear()
        for _ in range(_ROUNDS):
            for load in loads:
                load.drive()
        without, with_one = loads
        figures = "; ".join(
            f"{name} {before} -> {after}"
            for name, before, after in zip(_FIGURES, without.figures(), with_one.figures(), strict=True)
        )
        named = f"{what}, {_CLIENTS} clients, {_WORKERS} workers: p95 without a pooler / with one"
        yield Row(
            what=named, value=without.quantile(19) / with_one.quantile(19), unit="x", limit=_FASTER, figures=figures
        )


@dataclass
class _Load:
    """One request that clients send to a server again and again, how long each answer took, and its connections."""

    server: Server
    method: str
    path: str
    body: bytes = b""
    times: list[float] = field(default_factory=list)
    connections: int = 0

    def drive(self) -> None:
        """Have all clients ask one request after another for some seconds."""
        end = time.perf_counter() + _SECONDS
        with ThreadPoolExecutor(_CLIENTS) as clients:
            asking = [clients.submit(self._ask, end) for _ in range(_CLIENTS)]
            time.sleep(_SECONDS / 2)
            self.connections = max(self.connections, self._open())
            for each in asking:
                self.times += each.result()

    def quantile(self, twentieths: int) -> float:
        """Return a quantile of the answers' times, in milliseconds."""
        return statistics.quantiles(self.times, n=20)[twentieths - 1] * 1000

    def figures(self) -> tuple[str, ...]:
        """Return what _FIGURES names."""
        return f"{self.quantile(10):.1f} ms", f"{self.quantile(19):.1f} ms", str(len(self.times)), str(self.connections)

    def _ask(self, end: float) -> list[float]:
        times = []
        with closing(http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)) as connection:
            while (began := time.perf_counter()) < end:
                connection.request(self.method, self.path, self.body, {"Content-Type": "application/json"})
                answer = connection.getresponse()
                said = answer.read()
                if answer.status != http.HTTPStatus.OK:
                    raise RuntimeError(f"{self.path} was answered with {answer.status} {said[:200]!r}")
                times.append(time.perf_counter() - began)
        return times

    def _open(self) -> int:
        query = f"SELECT count(*) FROM pg_stat_activity WHERE datname = '{self.server.database}'"  # noqa: S608 - our own
        return int(self.server.services.postgres.execute("postgres", query)[0][0])


def _by_cache(server: Server, log: Path) -> Row:
    """Have one client log runs while Postgres writes down what each statement took."""
    for statement in ("ALTER SYSTEM SET log_min_duration_statement = 0", "SELECT pg_reload_conf()"):
        server.services.postgres.execute("postgres", statement)
    experiment = server.api("POST", f"{_API}/experiments/create", {"name": "cached"})["experiment_id"]
    _train(server, experiment)
    before = log.stat().st_size
    began = time.perf_counter()
    for _ in range(_RUNS):
        _train(server, experiment)
    took = time.perf_counter() - began
    with log.open() as file:
        file.seek(before)
        found = _STATEMENT.findall(re.sub(r"\n\t", " ", file.read()))
    about = [float(ms) for ms, statement in found if re.search(r"\b(FROM|JOIN) experiment(s|_tags)\b", statement)]
    share = 100 * sum(about) / 1000 / took
    figures = (
        f"{len(about)} of {len(found)} statements, {sum(about):.0f} of {sum(float(ms) for ms, _ in found):.0f} ms in "
        f"Postgres, of {took * 1000:.0f} ms that {_RUNS} runs took"
    )
    what = "what Postgres takes for experiments, of a training's requests"
    return Row(what=what, value=share, unit="%", limit=_SPARED_PERCENT, figures=figures)


def _train(server: Server, experiment: str) -> None:
    """Create a run, log three batches to it, read it and end it, as a training does."""
    run = server.api("POST", f"{_API}/runs/create", {"experiment_id": experiment})["run"]["info"]["run_id"]
    for step in range(3):
        metrics = [{"key": f"m{number}", "value": 1.0, "timestamp": 1, "step": step} for number in range(_BATCH)]
        server.api("POST", f"{_API}/runs/log-batch", {"run_id": run, "metrics": metrics})
    server.api("GET", f"{_API}/runs/get?run_id={run}")
    server.api("POST", f"{_API}/runs/update", {"run_id": run, "status": "FINISHED"})
