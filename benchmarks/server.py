"""The server in a backend against stock `mlflow server`: throughput, the plugin's overhead, the price of basic auth.

All servers run at once and take turns under load, so that the machine's mood meets all alike; overheads are CPU-seconds
a request of the whole process group, which other load does not change.
"""

from __future__ import annotations

import base64
import json
import os
import secrets
import selectors
import socket
import statistics
import tempfile
import time
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.row import Row
from tests.server.servers import Server, install_package
from tests.server.services import Services, start_services

if TYPE_CHECKING:
    from collections.abc import Iterator

_VERSION = "3.17.2"
_ROUNDS = 5
_SECONDS = 3.0
_BATCH = 20
#: What uvicorn takes in an environment without uvloop and httptools, as `pip install mlflow` makes it.
STOCK = ("--uvicorn-opts", "--loop asyncio --http h11")


@dataclass(frozen=True, kw_only=True)
class Load:
    """One request, sent again and again over a number of kept connections."""

    name: str
    clients: int
    method: str
    path: str
    body: bytes = b""
    password: str = ""

    def request(self) -> bytes:
        """Return the request as it goes over the wire."""
        lines = [f"{self.method} {self.path} HTTP/1.1", "Host: 127.0.0.1"]
        if self.body:
            lines += ["Content-Type: application/json", f"Content-Length: {len(self.body)}"]
        if self.password:
            lines.append("Authorization: Basic " + base64.b64encode(f"admin:{self.password}".encode()).decode())
        return "\r\n".join([*lines, "", ""]).encode() + self.body


def measure() -> Iterator[Row]:
    """Start the servers and measure the three."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        root = Path(folder)
        services = start_services(root)
        stack.callback(services.close)
        package = install_package(root / "package")
        yield from _throughput(services, package, root)
        yield from _overhead(services, package, root)
        yield from _basic_auth(services, package, root)


def _throughput(services: Services, package: Path, root: Path) -> Iterator[Row]:
    with (
        running(services, package, root, workers=4, plugin=False, flags=STOCK) as stock,
        running(services, package, root, workers=4) as ours,
    ):
        run = {server.port: make_run(server) for server in (stock, ours)}
        for clients, kind, factor in ((1, "health", 20), (1, "get", 5), (8, "get", 1.8), (8, "batch", 1.5)):
            rates = _turns({server.port: (server, _load(kind, clients, run[server.port])) for server in (stock, ours)})
            ratio = rates[stock.port] / rates[ours.port]
            figures = f"{rates[stock.port]:.0f} -> {rates[ours.port]:.0f} requests/s, {1 / ratio:.1f}x"
            what = f"{kind}, {clients} clients, 4 workers: stock's rate / ours"
            yield Row(what=what, value=ratio, unit="x", limit=round(1 / factor, 3), figures=figures)


def _overhead(services: Services, package: Path, root: Path) -> Iterator[Row]:
    with (
        running(services, package, root, workers=1, plugin=False) as plain,
        running(services, package, root, workers=1) as ours,
    ):
        run = {server.port: make_run(server) for server in (plain, ours)}
        for kind in ("get", "batch"):
            pairs = {server.port: (server, _load(kind, 2, run[server.port])) for server in (plain, ours)}
            cost = costs(pairs)
            ratio = cost[ours.port] / cost[plain.port]
            figures = f"{cost[plain.port] * 1000:.2f} -> {cost[ours.port] * 1000:.2f} CPU-ms a request"
            yield Row(what=f"{kind}: CPU with the plugin / without", value=ratio, unit="x", limit=1.03, figures=figures)


def _basic_auth(services: Services, package: Path, root: Path) -> Iterator[Row]:
    password = secrets.token_urlsafe(12)
    services.postgres.create("bench_auth")
    config = root / "auth.ini"
    lines = ["[mlflow]", "default_permission = READ", "admin_username = admin", f"admin_password = {password}"]
    lines += [f"database_uri = {services.postgres.uri('bench_auth')}"]
    config.write_text("\n".join(lines) + "\n")
    basic = {"MLFLOW_BACKEND_ACCESS": "basic", "MLFLOW_AUTH_CONFIG_PATH": str(config)}
    with (
        running(services, package, root, workers=1) as none,
        running(services, package, root, workers=1, settings=basic) as guarded,
    ):
        pairs = {
            none.port: (none, _load("get", 1, make_run(none))),
            guarded.port: (guarded, _load("get", 1, make_run(guarded, password), password)),
        }
        cost = costs(pairs)
        ratio = cost[guarded.port] / cost[none.port]
        figures = f"{cost[none.port] * 1000:.2f} -> {cost[guarded.port] * 1000:.2f} CPU-ms a request"
        yield Row(what="get: CPU with basic auth / without", value=ratio, unit="x", limit=1.10, figures=figures)


@contextmanager
def running(
    services: Services, package: Path, root: Path, *, version: str = _VERSION, **options: Any
) -> Iterator[Server]:
    """Run a server on a database of its own."""
    database = f"bench_{secrets.token_hex(4)}"
    services.postgres.create(database)
    server = Server(version=version, services=services, database=database, package=package, folder=root, **options)
    try:
        yield server.start()
    finally:
        server.stop()
        services.postgres.drop(database)


def make_run(server: Server, password: str = "") -> str:
    """Return the id of a new run with a few metrics."""
    load = Load(name="", clients=1, method="", path="", password=password)
    credentials = [line for line in load.request().decode().splitlines() if line.startswith("Authorization")]
    headers = {"authorization": credentials[0].partition(": ")[2]} if credentials else {}
    created = server.api("POST", "/api/2.0/mlflow/runs/create", {"experiment_id": "0"}, **headers)
    return str(created["run"]["info"]["run_id"])


def _load(kind: str, clients: int, run_id: str, password: str = "") -> Load:
    path = {"health": "/health", "get": f"/api/2.0/mlflow/runs/get?run_id={run_id}"}
    if kind != "batch":
        return Load(name=kind, clients=clients, method="GET", path=path[kind], password=password)
    metrics = [{"key": f"m{number}", "value": 1.0, "timestamp": 1, "step": number} for number in range(_BATCH)]
    body = json.dumps({"run_id": run_id, "metrics": metrics}).encode()
    return Load(name=kind, clients=clients, method="POST", path="/api/2.0/mlflow/runs/log-batch", body=body)


def _turns(pairs: dict[int, tuple[Server, Load]]) -> dict[int, float]:
    """Return the median rate of each server in requests a second."""
    rates: dict[int, list[float]] = {port: [] for port in pairs}
    for _ in range(_ROUNDS):
        for port, (server, load) in pairs.items():
            began = time.perf_counter()
            count = drive(server.port, load, _SECONDS)
            rates[port].append(count / (time.perf_counter() - began))
    return {port: statistics.median(values) for port, values in rates.items()}


def costs(pairs: dict[int, tuple[Server, Load]]) -> dict[int, float]:
    """Return the CPU-seconds that each server takes for a request, over many short turns."""
    for server, load in pairs.values():
        drive(server.port, load, _SECONDS)
    spent: dict[int, list[float]] = {port: [] for port in pairs}
    for _ in range(3 * _ROUNDS):
        for port, (server, load) in pairs.items():
            before = cpu_seconds(server)
            count = drive(server.port, load, 1.0)
            spent[port].append((cpu_seconds(server) - before) / count)
    return {port: statistics.median(values) for port, values in spent.items()}


def cpu_seconds(server: Server) -> float:
    """Return the user and system time of the server's process group."""
    ticks = 0
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[2]) == server.group:
            ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def drive(port: int, load: Load, duration_s: float) -> int:
    """Send the request over `clients` kept connections, each waiting for its answer, and return how many were answered.

    Raises RuntimeError for an answer that is not 200.
    """
    request, answered = load.request(), 0
    end = time.perf_counter() + duration_s
    with ExitStack() as stack, selectors.DefaultSelector() as selector:
        for _ in range(load.clients):
            connection = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=30))
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            selector.register(connection, selectors.EVENT_READ, (connection, bytearray()))
            connection.sendall(request)
        while selector.get_map():
            for key, _ in selector.select(timeout=30):
                client: socket.socket = key.data[0]
                answer: bytearray = key.data[1]
                answer += client.recv(262144)
                if not _complete(answer):
                    continue
                answered += 1
                answer.clear()
                if time.perf_counter() < end:
                    client.sendall(request)
                else:
                    selector.unregister(client)
    return answered


def _complete(answer: bytearray) -> bool:
    head, blank, body = answer.partition(b"\r\n\r\n")
    if not blank:
        return False
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"the server answered {bytes(head[:80])!r}")
    lower = head.lower()
    if b"transfer-encoding: chunked" in lower:
        return body.endswith(b"0\r\n\r\n")
    length = lower.partition(b"content-length:")[2].partition(b"\r\n")[0]
    return len(body) >= int(length or b"0")
