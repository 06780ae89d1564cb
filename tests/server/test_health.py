"""Each component of a server stopped, hung, denied and slow, asked in this process against real services."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import boto3
import psycopg2
import pytest
from mlflow_backend_server.db import addresses
from mlflow_backend_server.db.chains import Chain, Revision
from mlflow_backend_server.health import components as health
from mlflow_backend_server.health.board import DEADLINE_S, KEPT_S, Board
from mlflow_backend_server.health.readiness import KEPT_S as READINESS_KEPT_S
from mlflow_backend_server.health.readiness import Readiness
from mlflow_backend_server.health.states import Away, Component, State
from mlflow_backend_server.health.tables import lost, require
from mlflow_backend_server.settings import Access, Settings

from tests.server.services import Postgres, Process, Services, free_port, until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow_backend_server.db.addresses import Address

ANSWER_LIMIT_S = 2.0


class Watch:
    """A clock that moves on request."""

    def __init__(self) -> None:
        """Start at zero."""
        self.now = 0.0

    def __call__(self) -> float:
        """Return the time."""
        return self.now


@pytest.fixture
def address(postgres: Postgres, database: str) -> Address:
    """The address of the test's database."""
    uri = postgres.uri(database).replace("mlflow@", f"mlflow:{postgres.password}@")
    return addresses.parse(uri, source="the test")


@pytest.fixture
def watch() -> Watch:
    """The board's clock."""
    return Watch()


@pytest.fixture
def board(services: Services, address: Address, watch: Watch, monkeypatch: pytest.MonkeyPatch) -> Iterator[Board]:
    """A board over the real services, all of them required."""
    for name, value in services.store.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    settings = Settings(redis_url=services.valkey.url, requests_per_minute=1, artifacts="s3://mlflow/artifacts")
    databases = addresses.Databases(tracking=address, auth=None)
    parts = tuple(part for part in health.components(settings, databases, None) if part.name != "server")
    made = Board(parts, clock=watch)
    yield made
    services.postgres.process.send(signal.SIGCONT)
    for process in (services.valkey.process, services.store.process):
        process.send(signal.SIGCONT)


def look(board: Board, watch: Watch) -> tuple[dict[str, State], bool]:
    """Ask anew; the answer must come within two seconds whatever hangs."""
    watch.now += KEPT_S
    started = time.monotonic()
    findings, ok = board.look()
    assert time.monotonic() - started < ANSWER_LIMIT_S
    return {name: finding.state for name, finding in findings.items()}, ok


ALL_WELL = {
    "database": State.OK, "redis": State.OK, "artifacts": State.OK,
    "jobs": State.OFF, "auth": State.OFF, "keys": State.OFF,
}  # fmt: skip


def well(board: Board, watch: Watch) -> bool:
    """Return whether all is as it should be."""
    return look(board, watch) == (ALL_WELL, True)


def process_of(services: Services, component: str) -> Process:
    """Return the process behind a component."""
    return {
        "database": services.postgres.process,
        "redis": services.valkey.process,
        "artifacts": services.store.process,
    }[component]


@pytest.mark.parametrize("component", ["database", "redis", "artifacts"])
def test_a_component_that_hangs_is_named_in_time_and_the_others_are_right(
    services: Services, board: Board, watch: Watch, component: str
) -> None:
    """A stopped process still takes connections in its kernel; no answer waits for it, and it comes back by itself."""
    until(lambda: well(board, watch), what="all components")
    process_of(services, component).send(signal.SIGSTOP)
    threads = threading.active_count()
    for _ in range(5):
        assert look(board, watch) == ({**ALL_WELL, component: State.FAILED}, False)
    assert threading.active_count() <= threads + 2
    process_of(services, component).send(signal.SIGCONT)
    until(lambda: well(board, watch), what="the component to be back")


@pytest.mark.parametrize("component", ["database", "redis", "artifacts"])
def test_a_component_that_is_stopped_is_named(services: Services, board: Board, watch: Watch, component: str) -> None:
    """A part is ok again as soon as it runs again."""
    until(lambda: well(board, watch), what="all components")
    service: Any = {"database": services.postgres, "redis": services.valkey, "artifacts": services.store}[component]
    process_of(services, component).stop()
    try:
        assert look(board, watch) == ({**ALL_WELL, component: State.FAILED}, False)
    finally:
        service.start()
    until(lambda: well(board, watch), what="the component to be back")


def test_a_store_and_a_cache_that_deny_say_so(
    services: Services, address: Address, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wrong credentials are a sentence about credentials, without them in it."""
    for name, value in {**services.store.environment, "AWS_SECRET_ACCESS_KEY": "wr0ng-s3cret"}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    settings = Settings(
        redis_url=f"redis://:wr0ng-s3cret@127.0.0.1:{services.valkey.port}/0",
        requests_per_minute=1,
        artifacts="s3://mlflow/artifacts",
    )
    wrong = {**address.parameters, "password": "wr0ng-s3cret"}
    databases = addresses.Databases(tracking=addresses.Address(name=address.name, parameters=wrong), auth=None)
    sentences = {}
    for part in health.components(settings, databases, None)[1:4]:
        with pytest.raises(Away) as caught:
            part.ask()
        sentences[part.name] = str(caught.value)
    assert "credentials" in sentences["database"]
    assert "credentials" in sentences["redis"]
    assert "answers" in sentences["artifacts"]
    assert "wr0ng-s3cret" not in str(sentences)


TABLES = ("experiments", "runs", "it's")


@pytest.fixture
def tables(address: Address) -> Iterator[Any]:
    """A cursor in the test's database, which has tables with primary keys."""
    connection = psycopg2.connect(**{**address.parameters, "dbname": address.name})
    connection.autocommit = True
    with connection.cursor() as cursor:
        for table in TABLES:
            cursor.execute(f'CREATE TABLE "{table}" (id int CONSTRAINT "{table} pk" PRIMARY KEY)')
        yield cursor
    connection.close()


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize(
    "damage", ["DROP TABLE {0}", "ALTER TABLE {0} RENAME TO gone", "ALTER TABLE {0} DROP CONSTRAINT {1}"]
)
def test_a_table_that_is_lost_is_named(address: Address, tables: Any, table: str, damage: str) -> None:
    """Dropped, renamed, or without its primary key: the head in alembic_version tells none of them."""
    assert lost(address, TABLES) == []
    require(address, TABLES)
    tables.execute(damage.format(f'"{table}"', f'"{table} pk"'))
    assert lost(address, TABLES) == [table]
    with pytest.raises(Away, match=table):
        require(address, TABLES)


def test_the_database_component_asks_for_its_tables(address: Address, tables: Any) -> None:
    """`/health/components` is degraded while a table of the served version is lost."""
    assert "all 3 tables" in health._database(address, TABLES)
    tables.execute("DROP TABLE runs")
    with pytest.raises(Away, match="runs"):
        health._database(address, TABLES)


@pytest.mark.parametrize("component", ["database", "redis", "artifacts"])
def test_a_slow_component_is_waited_for_up_to_its_deadline(
    services: Services, address: Address, component: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Slow within the deadline is ok, with its latency; slower is a failure in time."""
    with slow_proxy(_port_of(services, component), delay_s=0.05) as port:
        (finding,) = Board(_only(component, services, address, port, monkeypatch)).look()[0].values()
    assert finding.state is State.OK, finding
    assert finding.ms >= 50
    with slow_proxy(_port_of(services, component), delay_s=1.5) as port:
        slower = Board(_only(component, services, address, port, monkeypatch))
        started = time.monotonic()
        findings, ok = slower.look()
    assert time.monotonic() - started < ANSWER_LIMIT_S
    assert (findings[component].state, ok) == (State.FAILED, False)


def _port_of(services: Services, component: str) -> int:
    ports = {"database": services.postgres.port, "redis": services.valkey.port, "artifacts": services.store.port}
    return ports[component]


def _only(
    name: str, services: Services, address: Address, port: int, monkeypatch: pytest.MonkeyPatch
) -> tuple[Component, ...]:
    """Return one component, reached by another port."""
    store = {**services.store.environment, "MLFLOW_S3_ENDPOINT_URL": f"http://127.0.0.1:{port}"}
    for variable, value in store.items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setattr(boto3, "DEFAULT_SESSION", None)
    settings = Settings(
        redis_url=f"redis://:{services.valkey.password}@127.0.0.1:{port}/0",
        requests_per_minute=1,
        artifacts="s3://mlflow/artifacts",
    )
    slow = addresses.Address(name=address.name, parameters={**address.parameters, "port": str(port)})
    databases = addresses.Databases(tracking=slow, auth=None)
    return tuple(part for part in health.components(settings, databases, None) if part.name == name)


def test_a_job_runner_counts_only_in_the_servers_own_process_group(services: Services, address: Address) -> None:
    """Several servers share a machine; another one's job runner says nothing about this one's."""
    databases = addresses.Databases(tracking=address, auth=None)
    settings = Settings(jobs=True, redis_url=services.valkey.url)
    jobs = next(part for part in health.components(settings, databases, None) if part.name == "jobs")
    command = [sys.executable, "-c", "import time; time.sleep(600)", "mlflow.server.jobs._job_runner"]
    with pytest.raises(Away, match="No job runner"):
        jobs.ask()
    for elsewhere in (True, False):
        with subprocess.Popen(command, start_new_session=elsewhere) as runner:
            try:
                if elsewhere:
                    with pytest.raises(Away, match="No job runner"):
                        jobs.ask()
                else:
                    assert until(jobs.ask, what="the job runner").startswith("1 job runner")
            finally:
                runner.kill()


def test_answers_are_kept_and_asked_for_once(watch: Watch) -> None:
    """A hundred probes at once are one question, and so are all within the time that an answer is kept."""
    asked = []
    board = Board((Component(name="a", ask=lambda: asked.append(1) or "fine"),), clock=watch)
    threads = [threading.Thread(target=board.look) for _ in range(100)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    watch.now += KEPT_S - 0.1
    board.look()
    assert len(asked) == 1
    watch.now += 0.1
    board.look()
    assert len(asked) == 2


def test_what_a_library_says_is_not_repeated(watch: Watch) -> None:
    """An exception that nobody foresaw may hold an address with a password in it."""

    def fail() -> str:
        raise RuntimeError("redis://:s3cret@host")

    finding = Board((Component(name="a", ask=fail),), clock=watch).look()[0]["a"]
    assert finding.state is State.FAILED
    assert "s3cret" not in finding.sentence
    assert "RuntimeError" in finding.sentence


def test_a_component_that_is_not_used_does_not_degrade(watch: Watch) -> None:
    """Off is no failure; whatever is used and away is one."""

    def away() -> str:
        raise Away("gone")

    unused = Component(name="a", ask=away, used=False)
    findings, ok = Board((unused,), clock=watch).look()
    assert (ok, findings["a"].state) == (True, State.OFF)
    findings, ok = Board((unused, Component(name="b", ask=away)), clock=watch).look()
    assert (ok, findings["b"].state) == (False, State.FAILED)


@pytest.mark.parametrize(
    ("asked", "state"),
    [
        ({"access": Access.BASIC, "session_key": "s"}, State.OK),
        ({"access": Access.BASIC}, State.OFF),
        ({"access": Access.TOKEN, "requests_per_minute": 1}, State.OK),
        ({"access": Access.TOKEN}, State.OFF),
        ({}, State.OFF),
    ],
)
def test_the_cache_is_looked_at_where_something_is_counted_in_it(
    services: Services, address: Address, watch: Watch, asked: dict[str, Any], state: State
) -> None:
    """Requests of keys or wrong passwords, over all servers; otherwise nothing depends on it."""
    databases = addresses.Databases(tracking=address, auth=None)
    parts = health.components(Settings(redis_url=services.valkey.url, **asked), databases, None)
    board = Board(tuple(part for part in parts if part.name == "redis"), clock=watch)
    assert board.look()[0]["redis"].state is state


def test_readiness_compares_the_schema_until_it_was_right_once(
    postgres: Postgres, database: str, address: Address, watch: Watch
) -> None:
    """Empty, behind, at the head; then a later migration changes nothing, and a dead database does."""
    chain = Chain(
        name="tracking", version_table="alembic_version", revisions=(Revision(id="aaa", follows=None, title=""),)
    )
    readiness = Readiness(((address, chain),), clock=watch)

    def problem() -> str | None:
        watch.now += READINESS_KEPT_S
        return readiness.problem()

    assert "schema" in str(problem())
    postgres.execute(
        database, "CREATE TABLE alembic_version (version_num text); INSERT INTO alembic_version VALUES ('x')"
    )
    assert problem() == "The tracking database is at x, and this server needs aaa."
    postgres.execute(database, "UPDATE alembic_version SET version_num = 'aaa'")
    assert problem() is None
    postgres.execute(database, "UPDATE alembic_version SET version_num = 'later'")
    assert problem() is None
    postgres.stop()
    try:
        assert "Nothing listens" in str(problem())
    finally:
        postgres.start()
    assert problem() is None


class slow_proxy:  # noqa: N801 - used as a context manager, like a function
    """Pass connections on to a local port, each piece delayed."""

    def __init__(self, target: int, *, delay_s: float) -> None:
        """Listen on a free port."""
        self._target, self._delay, self.port = target, delay_s, free_port()
        self._listener = socket.create_server(("127.0.0.1", self.port))
        self._open: list[socket.socket] = []

    def __enter__(self) -> int:
        """Start, and give the port."""
        threading.Thread(target=self._accept, daemon=True).start()
        return self.port

    def __exit__(self, *_: object) -> None:
        """Close everything."""
        self._listener.close()
        for each in self._open:
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.create_connection(("127.0.0.1", self._target))
            self._open += [client, server]
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=self._pump, args=(one, other), daemon=True).start()

    def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        try:
            while piece := source.recv(65536):
                time.sleep(self._delay)
                sink.sendall(piece)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            return


def test_the_deadlines_leave_room_for_the_answer() -> None:
    """Two seconds are promised for the whole answer."""
    assert DEADLINE_S < ANSWER_LIMIT_S
