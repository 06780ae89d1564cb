"""The plugin in real servers: both stacks, one worker and four, four generations of MLflow."""

from __future__ import annotations

import fcntl
import http.client
import json
import os
import re
import secrets
import signal
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from typing import TYPE_CHECKING, Any

import pytest

from tests.matrices import rows
from tests.server.environments import python
from tests.server.servers import Server, pool, serving
from tests.server.services import Services, free_port, until

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.engine

LIMIT = 1_000_000
#: Version, whether gunicorn serves, and workers.
SHAPES = [("2.9.2", True, 4), ("3.1.4", True, 1), ("3.4.0", False, 1), ("3.17.2", False, 4), ("3.17.2", True, 1)]
PARSER = """
import json, sys
from prometheus_client.parser import text_string_to_metric_families
families = text_string_to_metric_families(sys.stdin.read())
print(json.dumps([[sample.name, sample.labels, sample.value] for family in families for sample in family.samples]))
"""


def name_of(shape: tuple[str, bool, int]) -> str:
    """Return the name of a shape in the tests' names."""
    return f"{shape[0]}-{'gunicorn' if shape[1] else 'uvicorn'}-{shape[2]}"


@pytest.fixture(scope="module", params=rows(SHAPES, shown=(SHAPES[0], SHAPES[3])), ids=name_of)
def server(
    request: pytest.FixtureRequest, services: Services, package: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Server]:
    """One server a shape, on a database of its own, with metrics and a limit on artifacts."""
    version, gunicorn, workers = request.param
    metrics = str(free_port())
    with serving(
        services,
        version=version,
        package=package,
        folder=tmp_path_factory.mktemp("server"),
        workers=workers,
        gunicorn=gunicorn,
        settings={"MLFLOW_BACKEND_METRICS_PORT": metrics, "MLFLOW_BACKEND_MAX_ARTIFACT_BYTES": str(LIMIT)},
    ) as started:
        yield started


def samples(server: Server) -> list[tuple[str, dict[str, str], float]]:
    """Scrape the metrics and parse them with Prometheus's own parser, which the server's environment has."""
    port = server.settings["MLFLOW_BACKEND_METRICS_PORT"]
    text = pool().request("GET", f"http://127.0.0.1:{port}/metrics").data
    parsed = subprocess.run(
        [python(server.version), "-c", PARSER], input=text, stdout=subprocess.PIPE, check=True, timeout=60
    )
    return [(name, labels, value) for name, labels, value in json.loads(parsed.stdout)]


def access_log(server: Server) -> list[dict[str, Any]]:
    """Return the access-log lines; each must be a JSON object by itself."""
    return [json.loads(line) for line in server.log.splitlines() if line.startswith('{"time"')]


def is_ok(server: Server) -> bool:
    """Return whether all components are well."""
    return server.get("/health/components").status == 200


def test_mlflow_works_behind_the_request_filter(server: Server) -> None:
    """The API, the artifacts and the UI's page answer as they do without the plugin."""
    name = f"e-{secrets.token_hex(4)}"
    created = server.api("POST", "/api/2.0/mlflow/experiments/create", {"name": name})
    run = server.api("POST", "/api/2.0/mlflow/runs/create", {"experiment_id": created["experiment_id"]})
    run_id = run["run"]["info"]["run_id"]
    assert server.api("GET", f"/api/2.0/mlflow/runs/get?run_id={run_id}")["run"]["info"]["run_id"] == run_id
    place = f"/api/2.0/mlflow-artifacts/artifacts/{name}/a.bin"
    assert server.send("PUT", place, body=b"\0" * LIMIT).status == 200
    assert server.get(place).data == b"\0" * LIMIT
    assert b"<!doctype html" in server.get("/").data.lower()
    assert server.get("/version").data.decode() == server.version


def test_health_routes_answer_to_any_host(server: Server) -> None:
    """A probe by a pod's address or a balancer's name must not be taken for an attack."""
    until(lambda: is_ok(server), what="all components")
    for path in ("/health", "/health/ready", "/health/components"):
        assert server.get(path, Host="100.64.1.2:5000").status == 200, path
    full = json.loads(server.get("/health/components").data)
    assert full["status"] == "ok"
    assert list(full["components"]) == ["server", "database", "redis", "artifacts", "jobs", "auth", "keys", "temporary"]
    assert server.version in full["components"]["server"]["detail"]


def test_one_worker_writes_what_does_not_work_into_the_log(server: Server) -> None:
    """It has the lock of the folder that the server's processes share; when it writes, test_degraded.py says."""
    (shared,) = server.folder.glob("mlflow-backend-server-*")
    folder = os.open(shared, os.O_RDONLY)
    try:
        with pytest.raises(BlockingIOError):
            fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    finally:
        os.close(folder)


def test_components_tell_a_hung_database_and_a_dead_store_and_their_return(server: Server) -> None:
    """Within two seconds, while MLflow's own liveness goes on saying ok."""
    until(lambda: is_ok(server), what="all components")
    server.services.store.process.stop()
    server.services.postgres.process.send(signal.SIGSTOP)
    try:
        until(lambda: not is_ok(server), what="the failure to be seen")
        for _ in range(server.workers * 3):
            started = time.monotonic()
            server.get("/health/components")
            server.get("/health/ready")
            assert time.monotonic() - started < 4
        assert server.get("/health").status == 200
    finally:
        server.services.postgres.process.send(signal.SIGCONT)
        server.services.store.start()
    until(lambda: is_ok(server) and server.get("/health/ready").status == 200, what="both to be back")


def test_a_later_migration_does_not_take_readiness_away(server: Server) -> None:
    """The schema is compared until it was right once: the next release's migration must not kill this one."""
    postgres, database = server.services.postgres, server.database

    def all_ready() -> bool:
        """Ask every worker: one after another, requests would go to whichever is idle, and that may be the same one."""
        with ThreadPoolExecutor(16) as callers:
            answers = callers.map(lambda _: server.get("/health/ready", Connection="close").status, range(40))
            return set(answers) == {200}

    until(all_ready, what="ready")
    before = postgres.execute(database, "SELECT version_num FROM alembic_version")[0][0]
    postgres.execute(database, "UPDATE alembic_version SET version_num = 'newer'")
    try:
        end = time.monotonic() + 5
        while time.monotonic() < end:
            assert server.get("/health/ready").status == 200
    finally:
        postgres.execute(database, f"UPDATE alembic_version SET version_num = '{before}'")  # noqa: S608 - our own


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
def test_an_artifact_over_the_limit_is_a_clear_413(server: Server, *, announced: bool) -> None:
    """The client that sends it all gets the answer, not a broken connection, and nothing is stored."""
    body = b"x" * (5 * LIMIT)
    place = f"/api/2.0/mlflow-artifacts/artifacts/big/{secrets.token_hex(4)}.bin"
    pieces: Any = body if announced else (body[start : start + 65536] for start in range(0, len(body), 65536))
    headers = {} if announced else {"Transfer-Encoding": "chunked"}
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        connection.request("PUT", place, body=pieces, encode_chunked=not announced, headers=headers)
        answer = connection.getresponse()
        message = json.loads(answer.read())["message"]
    assert answer.status == 413
    assert f"at most {LIMIT} bytes" in message
    assert server.get(place).status != 200


def test_each_request_is_one_line_of_json(server: Server) -> None:
    """With the template of its route, the request id of the answer and the caller's trace, without its query."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = server.get("/api/2.0/mlflow/runs/get?run_id=s3cret", traceparent=trace)
    identity = answer.headers["x-request-id"]
    line = until(lambda: [each for each in access_log(server) if each["request_id"] == identity], what="the line")[0]
    assert (line["route"], line["method"], line["status"]) == ("/api/2.0/mlflow/runs/get", "GET", answer.status)
    assert line["traceparent"] == trace
    assert line["sent"] == len(answer.data)
    assert "s3cret" not in json.dumps(line)
    assert all(re.fullmatch(r"[0-9T:.-]+Z", each["time"]) for each in access_log(server))


def test_metrics_of_all_workers_are_on_their_own_port_only(server: Server) -> None:
    """Prometheus's own parser reads them; what was asked is counted once, by template; the public port has none."""

    def count(found: list[tuple[str, dict[str, str], float]]) -> float:
        wanted = ("mlflow_backend_http_requests_total", "/api/2.0/mlflow-artifacts/artifacts/{artifact_path}")
        return sum(value for name, labels, value in found if (name, labels.get("route")) == wanted)

    before = count(samples(server))
    for number in range(40):
        server.get(f"/api/2.0/mlflow-artifacts/artifacts/none/{number}", Connection="close")
    found = samples(server)
    assert count(found) - before == 40
    assert not [labels for _, labels, _ in found if "none/" in json.dumps(labels)]
    names = {name for name, _, _ in found}
    assert names >= {
        "mlflow_backend_http_request_duration_seconds_bucket",
        "mlflow_backend_http_requests_in_flight",
        "mlflow_backend_component_up",
        "mlflow_backend_database_pool_connections",
        "mlflow_backend_schema_head_info",
        "mlflow_backend_info",
        "mlflow_backend_temporary_bytes",
        "mlflow_backend_start_time_seconds",
    }
    assert b"mlflow_backend_http" not in server.get("/metrics").data


def test_the_databases_figures_are_those_of_the_served_version(server: Server) -> None:
    """Its own head, its own tables, and what its users create, whatever the version."""
    server.api("POST", "/api/2.0/mlflow/experiments/create", {"name": f"e-{secrets.token_hex(4)}"})

    def found() -> dict[tuple[str, str], float]:
        return {(name, next(iter(labels.values()), "")): value for name, labels, value in samples(server)}

    until(lambda: ("mlflow_backend_schema_at_head", "tracking") in found(), what="the figures")
    latest = found()
    assert latest["mlflow_backend_schema_at_head", "tracking"] == 1
    assert latest["mlflow_backend_database_size_bytes", "tracking"] > 0
    assert latest["mlflow_backend_table_bytes", "runs"] > 0
    created = {kind for name, kind in latest if name == "mlflow_backend_objects_created_total"}
    assert created >= {"experiments", "runs", "registered models", "model versions"}
    assert 0 < latest["mlflow_backend_database_connections_limit", ""] < 200


def test_no_response_waits_for_a_delayed_acknowledgement(server: Server) -> None:
    """With Nagle's algorithm on, every keep-alive answer waits 40 ms for the client's delayed ACK; none may."""
    seconds = []
    with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)) as connection:
        for _ in range(80):
            started = time.perf_counter()
            connection.request("GET", "/health")
            connection.getresponse().read()
            seconds.append(time.perf_counter() - started)
    # No speed, but a kind: with Nagle's algorithm on not one of them comes sooner than the kernel's 40 ms, once its
    # first acknowledgements, which it does not delay, are used up.
    assert min(seconds[40:]) < 0.035


def test_nothing_is_left_when_a_server_has_ended(
    services: Services, package: Path, database: str, tmp_path: Path
) -> None:
    """A wrong setting ends the command at once with one sentence, and starts no worker."""
    broken = Server(
        version="3.17.2",
        services=services,
        database=database,
        package=package,
        folder=tmp_path,
        settings={"MLFLOW_BACKEND_ACCESS": "s3cret"},
    ).start(healthy=False)
    assert broken.process is not None
    assert broken.process.child is not None
    try:
        assert broken.process.child.wait(timeout=120) != 0
    finally:
        broken.stop()
    assert "MLFLOW_BACKEND_ACCESS is none of: none, basic, token." in broken.log
    assert "s3cret" not in broken.log
