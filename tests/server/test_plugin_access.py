"""API keys and basic auth in real servers, on both stacks."""

from __future__ import annotations

import base64
import json
import secrets
from typing import TYPE_CHECKING, Any

import psutil
import pytest
from mlflow_backend_server.access.guesses import PER_NAME
from mlflow_backend_server.access.keys import Scope, mint

from mlflow_backend.environments import locked_versions
from tests.matrices import rows
from tests.server import managed_users
from tests.server.logins import FORMS
from tests.server.servers import Server
from tests.server.services import Services, until

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Start = Callable[..., Server]

pytestmark = pytest.mark.engine

SEARCH = "/api/2.0/mlflow/experiments/search"
CREATE = "/api/2.0/mlflow/experiments/create"
PER_MINUTE = 2000
#: A header that uvicorn or gunicorn themselves find no header, or too long.
_REFUSED_BY_THE_SERVER = {400, 431}


@pytest.fixture
def start(services: Services, package: Path, database: str, tmp_path: Path) -> Iterator[Start]:
    """Start servers on the test's databases."""
    started: list[Server] = []

    def make(version: str, *, workers: int = 1, **settings: str) -> Server:
        server = Server(
            version=version,
            services=services,
            database=database,
            package=package,
            folder=tmp_path,
            workers=workers,
            settings=settings,
        )
        started.append(server.start())
        return server

    yield make
    for server in started:
        server.stop()


def post(server: Server, path: str, document: Any, headers: dict[str, str]) -> int:
    """POST JSON and return the status."""
    body = json.dumps(document).encode()
    return server.send("POST", path, body=body, headers={"content-type": "application/json", **headers}).status


@pytest.mark.parametrize("version", rows(["2.9.2", "3.17.2"], shown=["3.17.2"]))
def test_api_keys_from_rotation_to_revocation(start: Start, services: Services, tmp_path: Path, version: str) -> None:
    """Two keys at once, scopes held, wrong ones all alike, a revoked one refused within 60 s, a limit in Redis."""
    mark = secrets.token_hex(4)  # counts in Redis outlive a server
    (reader, read_entry), (writer, write_entry) = mint(f"r-{mark}", Scope.READ), mint(f"w-{mark}", Scope.WRITE)
    file = tmp_path / "keys.json"
    file.write_text(json.dumps({"keys": [read_entry, write_entry]}))
    server = start(
        version,
        MLFLOW_BACKEND_ACCESS="token",
        MLFLOW_BACKEND_API_KEYS=str(file),
        MLFLOW_BACKEND_REDIS_URL=services.valkey.url,
        MLFLOW_BACKEND_API_KEY_REQUESTS_PER_MINUTE=str(PER_MINUTE),
    )
    reading, writing = {"X-API-Key": reader}, {"Authorization": f"Bearer {writer}"}
    assert post(server, SEARCH, {"max_results": 1}, reading) == 200
    assert post(server, CREATE, {"name": "a"}, reading) == 403
    assert post(server, CREATE, {"name": "a"}, writing) == 200
    assert server.get("/", X_API_Key=reader).status == 200
    assert server.get("/").status == server.get("/version").status == 401
    wrong = [server.get(f"{SEARCH}?max_results=1", X_API_Key=f"mlfb_{number}") for number in range(1000)]
    assert {(answer.status, answer.data) for answer in wrong} == {(401, wrong[0].data)}
    assert json.loads(server.get("/health/components").data) == {"status": "ok"}
    assert json.loads(server.get("/health/components", **reading).data)["components"]["auth"]["state"] == "ok"
    statuses = {server.get(f"{SEARCH}?max_results=1", X_API_Key=reader).status for _ in range(2 * PER_MINUTE + 50)}
    assert statuses == {200, 429}
    file.write_text(json.dumps({"keys": [read_entry]}))
    until(lambda: post(server, SEARCH, {"max_results": 1}, writing) == 401, what="the revocation", deadline_s=60)
    assert reader not in server.log
    assert writer not in server.log


def basic(password: str) -> dict[str, str]:
    """Return the header of the administrator."""
    return {"authorization": "Basic " + base64.b64encode(f"admin:{password}".encode()).decode()}


@pytest.mark.parametrize("version", rows(locked_versions(), shown=["2.9.2", "3.17.2"]))
def test_basic_auth_with_the_request_filter(
    start: Start, services: Services, database: str, tmp_path: Path, version: str
) -> None:
    """MLflow's users, remembered for seconds, made as settings ask; open routes closed; what is revoked ends soon."""
    # The plugin writes the file that MLflow reads, where a percent sign means something.
    password, uri = f"%{secrets.token_urlsafe(16)}", services.postgres.uri(f"{database}_auth")
    server = start(
        version,
        MLFLOW_BACKEND_ACCESS="basic",
        MLFLOW_BACKEND_AUTH_DATABASE_URI=uri,
        MLFLOW_AUTH_ADMIN_PASSWORD=password,
        MLFLOW_BASIC_AUTH_FAIL_CLOSED="false",
    )
    (config,) = tmp_path.rglob("mlflow-backend-auth-*.ini")
    assert config.stat().st_mode & 0o777 == 0o600
    assert password.replace("%", "%%") not in config.read_text()
    # MLflow knows since 3.17.2 how to refuse what nobody guards (of the locked versions).
    assert fails_closed(server) == {"true" if tuple(map(int, version.split("."))) >= (3, 17, 2) else "false"}
    assert post(server, SEARCH, {"max_results": 1}, {}) == 401
    assert post(server, SEARCH, {"max_results": 1}, basic("wrong")) == 401
    assert post(server, SEARCH, {"max_results": 1}, basic(password)) == 200
    assert server.send("POST", "/v1/traces", body=b"x").status in {401, 404}
    until(lambda: json.loads(server.get("/health/components").data) == {"status": "ok"}, what="all components")
    full = json.loads(server.get("/health/components", **basic(password)).data)
    assert full["components"]["auth"] == {**full["components"]["auth"], "state": "ok"}
    assert server.get("/health/ready").status == 200
    for form in FORMS:
        answer = server.send("POST", SEARCH, body=b"{}", headers={"authorization": form.encode("latin-1", "ignore")})
        assert answer.status in {401, *_REFUSED_BY_THE_SERVER}, form[:40]
    assert server.send("POST", "/health").status == server.send("PUT", "/health/ready").status == 405
    line = next(each for each in reversed(lines(server)) if each["path"] == SEARCH and each["status"] == 200)
    assert (line["identity"], line["verified"], line["client"]) == ("admin", True, "127.0.0.1")
    each_change_is_a_line_of_the_audit(server, basic(password))
    managed_users.follow_what_is_wanted(server, password)
    managed_users.more_kinds_of_permissions(server, password)
    managed_users.roles_follow_what_is_wanted(server, password)
    managed_users.weaker_users_are_verified(server, password, services, f"{database}_auth")
    services.postgres.execute(f"{database}_auth", "UPDATE users SET password_hash = 'pbkdf2:sha256:1000$salt$00'")
    until(
        lambda: post(server, SEARCH, {"max_results": 1}, basic(password)) == 401, what="the revocation", deadline_s=60
    )
    assert password not in server.log


def fails_closed(server: Server) -> set[str]:
    """Return what the server's own processes were told about routes that nobody guards."""
    assert server.process is not None
    assert server.process.child is not None
    workers = psutil.Process(server.process.child.pid).children(recursive=True)
    assert workers
    return {worker.environ().get("MLFLOW_BASIC_AUTH_FAIL_CLOSED", "") for worker in workers}


def each_change_is_a_line_of_the_audit(server: Server, admin: dict[str, str]) -> None:
    """Users and what a registry says, by whom and about what, refused ones too; never a password, and no reading."""
    api = "/api/2.0/mlflow"
    model, ann = {"name": "fraud"}, {"username": "ann", "password": "never-in-the-log-1"}
    changes: list[tuple[str, str, dict[str, Any], dict[str, Any]]] = [
        ("POST", "users/create", ann, {"username": "ann"}),
        ("POST", "registered-models/create", model, model),
        ("POST", "model-versions/create", {**model, "source": "s3://mlflow/artifacts/fraud"}, model),
        ("POST", "model-versions/set-tag", {**model, "version": "1", "key": "k", "value": "v"}, {"key": "k"}),
        ("POST", "registered-models/alias", {**model, "alias": "best", "version": "1"}, {"alias": "best"}),
        (
            "POST",
            "model-versions/transition-stage",
            {**model, "version": "1", "stage": "Staging"},
            {"stage": "Staging"},
        ),
        ("DELETE", "registered-models/alias", {**model, "alias": "best"}, {"alias": "best"}),
        ("PATCH", "users/update-admin", {"username": "ann", "is_admin": True}, {"username": "ann", "is_admin": True}),
        ("DELETE", "users/delete", {"username": "ann"}, {"username": "ann"}),
    ]
    for method, path, document, _ in changes:
        server.api(method, f"{api}/{path}", document, **admin)
    assert server.send("DELETE", f"{api}/registered-models/delete-tag", headers=basic("wrong")).status == 401
    server.api("GET", f"{api}/registered-models/get?name=fraud", **admin)
    kept = [line for line in lines(server) if line["kind"] == "audit"]
    assert [(line["action"], line["status"]) for line in kept] == [
        *((f"{method} {api}/{path}", 200) for method, path, _, _ in changes),
        (f"DELETE {api}/registered-models/delete-tag", 401),
    ]
    assert {(line["identity"], line["verified"], line["client"]) for line in kept[:-1]} == {
        ("admin", True, "127.0.0.1")
    }
    assert (kept[-1]["identity"], kept[-1]["verified"]) == ("admin", False)
    for line, (_, _, _, about) in zip(kept, changes, strict=False):
        assert line["about"].items() >= about.items(), line
    assert "never-in-the-log" not in server.log


def test_guesses_are_counted_over_the_processes_of_a_server(start: Start, services: Services, database: str) -> None:
    """Two processes have ten guesses together; without the cache each goes on counting, and nobody is locked out."""
    password = secrets.token_urlsafe(16)
    server = start(
        "3.17.2",
        workers=2,
        MLFLOW_BACKEND_ACCESS="basic",
        MLFLOW_BACKEND_AUTH_DATABASE_URI=services.postgres.uri(f"{database}_auth"),
        MLFLOW_BACKEND_REDIS_URL=services.valkey.url,
        MLFLOW_BACKEND_TRUSTED_PROXIES="1",
        MLFLOW_AUTH_ADMIN_PASSWORD=password,
    )

    def ask(guess: str, client: str) -> int:
        # A connection of its own each time: either process may take it.
        named = {**basic(guess), "x-forwarded-for": client, "connection": "close"}
        return server.send("GET", f"{SEARCH}?max_results=1", headers=named).status

    def guess(client: str, until_limited: int) -> list[int]:
        """Guess until each process has refused often enough that both have been asked."""
        statuses: list[int] = []
        while statuses.count(429) < until_limited and len(statuses) < 200:
            statuses.append(ask(f"guess {len(statuses)} from {client}", client))
        judged = {line["process"] for line in lines(server) if line["client"] == client and line["status"] == 429}
        assert len(judged) == 2
        return statuses

    statuses = guess("203.0.113.1", 20)
    assert statuses == [401] * PER_NAME + [429] * 20
    assert {ask(password, "203.0.113.1") for _ in range(10)} == {429}
    assert {ask(password, "203.0.113.2") for _ in range(10)} == {200}
    services.valkey.process.stop()
    try:
        apart = guess("203.0.113.3", 30)
        assert set(apart) == {401, 429}
        assert apart.count(401) == 2 * PER_NAME
        assert {ask(password, "203.0.113.4") for _ in range(10)} == {200}
    finally:
        services.valkey.start()
    assert password not in server.log


def lines(server: Server) -> list[dict[str, Any]]:
    """Return the lines of JSON that a server has logged."""
    return [json.loads(line) for line in server.log.splitlines() if line.startswith('{"time"')]
