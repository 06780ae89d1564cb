"""Old and new servers of neighbouring MLflow versions on one database, as a rolling update under load mixes them.

For each pair a server of the old version takes load, the database is brought to the new version's schema beneath it,
both versions then serve the same load, each reading what the other wrote, and the old one ends. What fails is counted.
`migrate/side_by_side.py` keeps what was found, and the plan of an upgrade says it.
"""

from __future__ import annotations

import itertools
import json
import math
import os
import secrets
import subprocess
import tempfile
import threading
import time
from collections import Counter
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import urllib3

from benchmarks.row import Row
from mlflow_backend.environments import locked_versions
from mlflow_backend.migrate.side_by_side import MEASURED
from tests.server.environments import python
from tests.server.servers import Server, install_package
from tests.server.services import Services, start_services

if TYPE_CHECKING:
    from collections.abc import Iterator

_API: Final = "/api/2.0/mlflow"
_ARTIFACTS: Final = "/api/2.0/mlflow-artifacts/artifacts"
_THREADS: Final = 2
"""Clients of each server."""
_ROUNDS: Final = 12
"""Rounds of each client that a phase lasts at least; a round is all that a team does once (`_Client.round`)."""
_PHASE_S: Final = 10.0
_MIGRATION_S: Final = 300.0


@dataclass
class _Seen:
    """What was counted: requests and failures by phase and version, and each kind of failure once."""

    phase: str = "before"
    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    failed: Counter[tuple[str, str]] = field(default_factory=Counter)
    examples: dict[str, str] = field(default_factory=dict)
    rounds: Counter[str] = field(default_factory=Counter)

    def figures(self) -> str:
        """Return how many requests each phase had."""
        counted: Counter[str] = Counter()
        for (phase, _), count in self.requests.items():
            counted[phase] += count
        return "requests " + ", ".join(f"{phase} {count}" for phase, count in counted.items())

    def failures(self) -> int:
        """Return how many requests failed after the migration began."""
        return sum(count for (phase, _), count in self.failed.items() if phase != "before")


class _Failed(Exception):
    """A request that was not answered with 200, or whose answer lacks what was written."""


@dataclass
class _Client:
    """One client: it writes by the server `own`, and reads there and by `other`."""

    seen: _Seen
    own: Server
    other: Server
    pool: urllib3.PoolManager = field(
        default_factory=lambda: urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=5, read=60))
    )

    def round(self) -> None:
        """Write a run with its parts, an artifact and a registered model; read each by the other server."""
        mark, api = secrets.token_hex(6), self.ask
        experiment = api(self.own, "POST", f"{_API}/experiments/create", {"name": mark})["experiment_id"]
        now = int(time.time() * 1000)
        run = api(self.own, "POST", f"{_API}/runs/create", {"experiment_id": experiment, "start_time": now})["run"]
        run_id, metrics = run["info"]["run_id"], [{"key": f"m{n}", "value": n, "timestamp": now} for n in range(20)]
        parts = {"metrics": metrics, "params": [{"key": "p", "value": mark}], "tags": [{"key": "t", "value": mark}]}
        api(self.own, "POST", f"{_API}/runs/log-batch", {"run_id": run_id, **parts})
        read = api(self.other, "GET", f"{_API}/runs/get?run_id={run_id}")["run"]["data"]
        self.hold(self.other, "runs/get", len(read.get("metrics", ())) == len(metrics))
        for server in (self.own, self.other):
            wanted = {"experiment_ids": [experiment], "filter": f"metrics.m3 > 2 and params.p = '{mark}'"}
            found = api(server, "POST", f"{_API}/runs/search", wanted)
            self.hold(server, "runs/search", len(found.get("runs", ())) == 1)
        history = api(self.other, "GET", f"{_API}/metrics/get-history?run_id={run_id}&metric_key=m1&max_results=9")
        self.hold(self.other, "metrics/get-history", len(history.get("metrics", ())) == 1)
        path = f"{_ARTIFACTS}/{experiment}/{run_id}/artifacts/model/MLmodel"
        self.ask(self.own, "PUT", path, mark.encode(), raw=True)
        self.hold(self.other, "artifacts", self.ask(self.other, "GET", path, raw=True) == mark.encode())
        version = {"name": mark, "source": f"{run['info']['artifact_uri']}/model", "run_id": run_id}
        api(self.own, "POST", f"{_API}/registered-models/create", {"name": mark})
        api(self.own, "POST", f"{_API}/model-versions/create", version)
        api(self.other, "POST", f"{_API}/registered-models/alias", {"name": mark, "alias": "champion", "version": "1"})
        model = api(self.own, "GET", f"{_API}/registered-models/alias?name={mark}&alias=champion")["model_version"]
        self.hold(self.own, "registered-models/alias", model["version"] == "1")
        api(self.other, "POST", f"{_API}/runs/update", {"run_id": run_id, "status": "FINISHED", "end_time": now + 1})
        api(self.own, "POST", f"{_API}/runs/delete", {"run_id": run_id})
        api(self.other, "POST", f"{_API}/runs/restore", {"run_id": run_id})
        self.seen.rounds[self.seen.phase] += 1

    def ask(self, server: Server, method: str, path: str, content: Any = None, *, raw: bool = False) -> Any:
        """Send one request, count it, and return its answer. Raises _Failed."""
        self.seen.requests[self.seen.phase, server.version] += 1
        body = content if content is None or isinstance(content, bytes) else json.dumps(content).encode()
        kind = "application/octet-stream" if isinstance(content, bytes) else "application/json"
        try:
            answer = self.pool.request(method, server.url + path, body=body, headers={"content-type": kind})
        except urllib3.exceptions.HTTPError as error:
            raise self.failure(server, path, type(error).__name__) from None
        if answer.status != 200:  # noqa: PLR2004 - HTTP
            raise self.failure(server, path, f"{answer.status} {answer.data[:200].decode(errors='replace')}")
        return answer.data if raw else json.loads(answer.data)

    def hold(self, server: Server, call: str, right: bool) -> None:  # noqa: FBT001 - what was found
        """Count an answer that lacks what was written. Raises _Failed."""
        if not right:
            raise self.failure(server, call, "lacks what was written")

    def failure(self, server: Server, path: str, why: str) -> _Failed:
        """Count a failure, and return it."""
        self.seen.failed[self.seen.phase, server.version] += 1
        call = "artifacts" if path.startswith(_ARTIFACTS) else path.partition("?")[0].removeprefix(f"{_API}/")
        self.seen.examples.setdefault(f"{self.seen.phase}, {server.version} {call}", why)
        return _Failed()

    def work(self, end: threading.Event) -> None:
        """Do rounds until the event, whatever fails."""
        while not end.is_set():
            try:
                self.round()
            except _Failed:
                # A server that refuses at once would otherwise be asked thousands of times.
                end.wait(0.2)


def measure() -> Iterator[Row]:
    """Mix each two neighbours of the versions that ship."""
    with tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        services = start_services(Path(folder))
        stack.callback(services.close)
        package = install_package(Path(folder) / "package")
        for old, new in itertools.pairwise(locked_versions()):
            seen = _mixed(services, package, Path(folder) / new, old, new)
            examples = "; ".join(f"{what}: {why}" for what, why in seen.examples.items())
            kept = MEASURED.get((old, new))
            limit = math.inf if kept and not kept.works else 0
            what = f"{old} beside {new}: failed requests since the migration began"
            yield Row(what=what, value=seen.failures(), unit="", limit=limit, figures=f"{seen.figures()}. {examples}")


def _mixed(services: Services, package: Path, folder: Path, old: str, new: str) -> _Seen:
    """Bring a database from one version to the next beneath load, and return what was counted."""
    seen, database = _Seen(), f"mixed_{secrets.token_hex(4)}"
    services.postgres.create(database)
    described: dict[str, Any] = {"services": services, "database": database, "package": package, "workers": 1}
    first, second = (Server(version=version, folder=folder / version, **described) for version in (old, new))
    try:
        first.start()
        with _load(seen, (first, first)):
            _wait(seen)
            seen.phase = "migrating"
            _migrate(services, database, new, folder / new)
        second.start()
        seen.phase = "beside"
        with _load(seen, (first, second), (second, first)):
            _wait(seen)
        first.stop()
        seen.phase = "after"
        with _load(seen, (second, second)):
            _wait(seen)
    finally:
        first.stop()
        second.stop()
        services.postgres.drop(database)
    return seen


@contextmanager
def _load(seen: _Seen, *pairs: tuple[Server, Server]) -> Iterator[None]:
    """Have clients of each pair at work."""
    end = threading.Event()
    clients = [_Client(seen, own, other) for own, other in pairs for _ in range(_THREADS)]
    threads = [threading.Thread(target=client.work, args=(end,)) for client in clients]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        end.set()
        for thread in threads:
            thread.join()


def _wait(seen: _Seen) -> None:
    """Wait until a phase had its rounds, or would have had them twice over if they did not fail."""
    began = time.monotonic()
    while time.monotonic() < began + _PHASE_S or (
        seen.rounds[seen.phase] < _ROUNDS and time.monotonic() < began + 6 * _PHASE_S
    ):
        time.sleep(0.1)


def _migrate(services: Services, database: str, version: str, folder: Path) -> None:
    """Bring the database to a version's schema by MLflow's own command."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "migration.log").open("wb") as log:
        subprocess.run(
            [str(python(version).parent / "mlflow"), "db", "upgrade", services.postgres.uri(database)],
            env={**os.environ, "PGPASSWORD": services.postgres.password, "PYTHONWARNINGS": "ignore"},
            stdout=log,
            stderr=log,
            timeout=_MIGRATION_S,
            check=True,
        )
