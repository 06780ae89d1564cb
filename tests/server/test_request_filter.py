"""The request filter around an application, on both stacks: what it answers itself and what it lets through."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow_backend_server.access import credentials, keys
from mlflow_backend_server.access.guesses import PER_NAME
from mlflow_backend_server.health.identity import OBJECT
from mlflow_backend_server.http import routes
from mlflow_backend_server.http.asgi import AsgiFilter
from mlflow_backend_server.http.exchange import Request, with_prefix
from mlflow_backend_server.http.record import Recorder
from mlflow_backend_server.http.wsgi import refuse_underscores
from mlflow_backend_server.settings import (
    Access,
    Settings,
    SettingsError,
    from_environment,
)

from tests.server.filters import (
    ADMIN,
    EXPIRED,
    READER,
    SECRET,
    STACKS,
    WRITER,
    Answered,
    filter_of,
    through_asgi,
)
from tests.server.logins import FORMS, encoded

if TYPE_CHECKING:
    from collections.abc import Callable

PASSWORD = "Basic " + base64.b64encode(b"ann:one").decode()


@STACKS
@pytest.mark.parametrize(
    ("access", "headers", "full"),
    [
        (Access.NONE, {}, True),
        (Access.TOKEN, {}, False),
        (Access.TOKEN, {"x-api-key": "wrong"}, False),
        (Access.TOKEN, {"authorization": PASSWORD}, False),
        (Access.TOKEN, {"x-api-key": READER}, True),
        (Access.TOKEN, {"authorization": f"Bearer {WRITER}"}, True),
        (Access.BASIC, {}, False),
        (Access.BASIC, {"authorization": "Basic YW5uOnR3bw=="}, False),
        (Access.BASIC, {"authorization": f"Bearer {WRITER}"}, False),
        (Access.BASIC, {"authorization": PASSWORD}, True),
    ],
)
def test_details_of_components_need_credentials(
    through: Callable[..., Answered], access: Access, headers: dict[str, str], *, full: bool
) -> None:
    """Everyone learns ok or degraded, by status too; only who has credentials learns more."""
    answer = through(filter_of(Settings(access=access)), "GET", "/health/components", headers, b"")
    assert answer.status == 503
    assert (SECRET in answer.body.decode()) is full
    if not full:
        assert json.loads(answer.body) == {"status": "degraded"}


@STACKS
@pytest.mark.parametrize("access", list(Access))
def test_only_who_may_call_the_server_learns_who_it_is(through: Callable[..., Answered], access: Access) -> None:
    """The identity needs credentials wherever there are some."""
    request_filter = filter_of(Settings(access=access))
    good = {Access.NONE: {}, Access.TOKEN: {"x-api-key": READER}, Access.BASIC: {"authorization": PASSWORD}}[access]
    assert through(request_filter, "GET", "/health/identity", good, b"").status == 503
    if access is not Access.NONE:
        for headers in ({}, {"x-api-key": "wrong"}, {"authorization": "Basic YW5uOnR3bw=="}):
            refused = through(request_filter, "GET", "/health/identity", headers, b"")
            assert refused.status == 401
            assert SECRET not in refused.body.decode()


@STACKS
@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "POST", "HEAD"])
@pytest.mark.parametrize(
    "path",
    [
        "/api/2.0/mlflow-artifacts/artifacts/{}",
        "/ajax-api/2.0/mlflow-artifacts/artifacts/a/../{}",
        "/api/2.0/mlflow-artifacts/mpu/create/{}",
        "/ajax-api/2.0/mlflow/upload-artifact?run_uuid=1&path={}",
        "/ajax-api/2.0/mlflow/upload-artifact?path=%2emlflow-backend-identity%2Ejson",
        "/get-artifact?run_uuid=1&path={}",
    ],
)
def test_the_stores_identity_is_no_artifact(through: Callable[..., Answered], method: str, path: str) -> None:
    """No route of artifacts reads, writes or deletes the object that the store is known by, however it is spelled."""
    answer = through(filter_of(Settings()), method, path.format(OBJECT), {}, b"x")
    assert answer.status == 403
    assert not answer.seen


@STACKS
@given(
    path=st.sampled_from(["/health/components", "/health/ready"]),
    method=st.sampled_from(["GET", "HEAD", "POST", "BREW"]),
    headers=st.dictionaries(
        st.sampled_from(["authorization", "x-api-key", "host", "content-length", "x-request-id", "traceparent"]),
        st.text(st.characters(max_codepoint=255, exclude_categories=["Cc"]), max_size=80),
    ),
    access=st.sampled_from([Access.TOKEN, Access.BASIC]),
)
def test_health_neither_breaks_nor_reveals(
    through: Callable[..., Answered], path: str, method: str, headers: dict[str, str], access: Access
) -> None:
    """Whatever stands in the headers: a whole answer, its status, nothing of the details, one line of log."""
    answer = through(filter_of(Settings(access=access)), method, path, headers, b"")
    assert answer.status in ({200, 503} if method in {"GET", "HEAD"} else {405})
    assert SECRET not in answer.body.decode()
    assert not answer.seen
    assert [line["status"] for line in answer.log] == [answer.status]


@STACKS
@pytest.mark.parametrize(
    ("method", "path", "key", "status"),
    [
        ("GET", "/api/2.0/mlflow/runs/get", READER, 200),
        ("POST", "/api/2.0/mlflow/runs/search", READER, 200),
        ("POST", "/api/2.0/mlflow/runs/create", READER, 403),
        ("POST", "/api/2.0/mlflow/runs/create", WRITER, 200),
        ("GET", "/", None, 401),
        ("GET", "/version", None, 401),
        ("GET", "/api/2.0/mlflow/runs/get", "mlfb_wrong", 401),
        ("GET", "/health", None, 200),
        ("GET", "/health/../api", None, 401),
    ],
    # Keys are minted for each run: workers of one run must find the same names.
    ids=lambda value: "minted" if str(value).startswith("mlfb_") else str(value),
)
def test_keys_open_what_their_scope_allows_and_go_no_further(
    through: Callable[..., Answered], method: str, path: str, key: str | None, status: int
) -> None:
    """MLflow sees only admitted requests, and never a key: its gateway forwards headers to others."""
    headers = {"x-other": "kept"} | ({} if key is None else {"x-api-key": key})
    answer = through(filter_of(Settings(access=Access.TOKEN)), method, path, headers, b"")
    assert answer.status == status
    assert len(answer.seen) == (status == 200 and path != "/health")
    if answer.seen:
        assert "x-api-key" not in answer.seen[0]
        assert answer.seen[0]["x-other"] == "kept"
    assert answer.log[0]["identity"] == ({READER: "reader", WRITER: "writer"}.get(key, keys.mark(key)) if key else "")
    assert answer.log[0]["verified"] is (status == 200 and key is not None)


@STACKS
def test_a_thousand_wrong_keys_get_one_and_the_same_answer(through: Callable[..., Answered]) -> None:
    """Neither the status nor a byte tells one wrong credential from another."""
    request_filter = filter_of(Settings(access=Access.TOKEN))
    wrong = [{"x-api-key": f"mlfb_{number}"} for number in range(900)]
    wrong += [{"authorization": value} for value in (PASSWORD, "Bearer", "Bearer x", "Digest x", "é") * 20]
    answers = [through(request_filter, "GET", "/api/2.0/mlflow/runs/get", headers, b"") for headers in wrong]
    assert len(answers) == 1000
    for answer in answers:
        answer.headers.pop("x-request-id")
    assert {(each.status, each.body, str(sorted(each.headers.items()))) for each in answers} == {
        (401, answers[0].body, str(sorted(answers[0].headers.items())))
    }
    assert through(request_filter, "GET", "/api/2.0/mlflow/runs/get", {"x-api-key": READER}, b"").status == 200


def login(name: str, password: str) -> dict[str, str]:
    """The header of a login."""
    return {"authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


@STACKS
def test_passwords_are_checked_before_mlflow_sees_anything(through: Callable[..., Answered]) -> None:
    """On every route but the open ones; what is an administrator's is his alone, and the log says who."""
    request_filter = filter_of(Settings(access=Access.BASIC))
    for path in ("/v1/traces", "/api/2.0/mlflow/runs/get", "/nothing", "/", "/health/x"):
        for headers in ({}, login("ann", "two"), login("nobody", "one"), {"x-api-key": READER}):
            answer = through(request_filter, "POST", path, headers, b"x" * 1000)
            assert (answer.status, answer.seen) == (401, [])
            assert answer.headers["www-authenticate"] == 'Basic realm="mlflow"'
            assert answer.log[0]["received"] == 0
            assert answer.log[0]["verified"] is False
    assert through(request_filter, "GET", "/x", login("ann", "two"), b"").log[0]["identity"] == "ann"
    refused = through(request_filter, "POST", "/v1/traces", login("ann", "one"), b"")
    assert (refused.status, refused.log[0]["identity"]) == (403, "ann")
    assert through(request_filter, "POST", "/v1/traces", login("root", "two"), b"").status == 200
    answer = through(request_filter, "POST", "/api/x", login("ann", "one"), b"")
    assert (answer.status, answer.log[0]["identity"], answer.log[0]["verified"]) == (200, "ann", True)
    assert through(request_filter, "GET", "/health", {}, b"").status == 200
    assert through(request_filter, "GET", "/static-files/x", {}, b"").status == 200


@STACKS
def test_who_guesses_must_wait_and_the_owner_is_not(through: Callable[..., Answered]) -> None:
    """Guesses are counted by name and client address, whatever a caller writes into X-Forwarded-For."""
    request_filter = filter_of(Settings(access=Access.BASIC, trusted_proxies=1))

    def ask(password: str, hops: str) -> Answered:
        return through(request_filter, "GET", "/api/x", {**login("ann", password), "x-forwarded-for": hops}, b"")

    statuses = [ask(f"guess {number}", f"9.9.9.{number}, 203.0.113.7").status for number in range(15)]
    assert statuses == [401] * PER_NAME + [429] * (15 - PER_NAME)
    assert int(ask("one", "203.0.113.7").headers["retry-after"]) > 0
    assert ask("one", "198.51.100.2").status == 200
    assert ask("one", "203.0.113.7, 198.51.100.2").status == 200


@pytest.mark.parametrize(
    ("agent", "version"),
    [
        ("mlflow-python-client/3.17.2", "3.17.2"), ("mlflow-python-client/2.9.2 x/1", "2.9.2"), ("curl/8.0", ""),
        ("mlflow-python-client/" + "9" * 33, ""), ('mlflow-python-client/1"s3cret', ""), ("", ""),
    ],
)  # fmt: skip
def test_the_log_names_the_version_of_mlflows_client(agent: str, version: str) -> None:
    """Of other programs nothing is kept: a User-Agent is free text."""
    request = Request(method="GET", path="/", raw_path="/", headers={"user-agent": agent}, client="192.0.2.1")
    lines: list[bytes] = []
    recorder = Recorder(template=lambda *_: "/", metrics=None, log=True, write=lines.append)
    recorder.end(recorder.begin(request))
    assert json.loads(lines[0])["mlflow_client"] == version


@pytest.mark.parametrize("about", [{"name": "\U0001f600" * 300}, {"tags": "x" * 200, "key": "\U0001f600" * 200}])
def test_a_line_is_whole_whatever_a_caller_sends(about: dict[str, Any]) -> None:
    """One write of a pipe takes 4096 bytes; a longer line would be cut through by another worker's."""
    lines: list[bytes] = []
    recorder = Recorder(template=lambda *_: "/api/2.0/mlflow/users/create", metrics=None, log=True, write=lines.append)
    request = Request(
        method="POST", path="/", raw_path="\U0001f600" * 5000, headers={"x-request-id": "x" * 128}, client="192.0.2.1"
    )
    exchange = recorder.begin(request)
    exchange.identity, exchange.about = "\U0001f600" * 5000, {name: value[:200] for name, value in about.items()}
    recorder.end(exchange)
    recorder.end(replace(exchange, request=replace(request, method="X" * 60_000)))
    recorder.keys_changed([f"key-{number}" for number in range(2000)], ["k" * 63] * 100)
    assert [json.loads(line)["kind"] for line in lines] == ["access", "audit", "access", "audit"]
    assert max(len(line) for line in lines) <= 4096


def test_endless_paths_are_not_kept() -> None:
    """Whoever has no key yet may send thousands of long ones; each route is found all the same."""
    request: list[str] = []

    def find(_method: str, path: str) -> int:
        request.append(path)
        return len(path)

    kept = routes._kept(find)
    assert [kept("GET", path) for path in ("/a", "/a", "/" + "a" * 60_000, "/" + "a" * 60_000)] == [
        2,
        2,
        60_001,
        60_001,
    ]
    assert len(request) == 3


@STACKS
def test_a_key_over_its_limit_learns_when_to_come_again(through: Callable[..., Answered]) -> None:
    """429 with the seconds, as MLflow's clients wait for them; health and other keys are not concerned."""

    class Spent:
        def seconds_to_wait(self, name: str) -> int:
            return 17 if name == "reader" else 0

    request_filter = replace(filter_of(Settings(access=Access.TOKEN)), rate=Spent())  # type: ignore[arg-type]
    answer = through(request_filter, "GET", "/api/x", {"x-api-key": READER}, b"")
    assert (answer.status, answer.headers["retry-after"], answer.log[0]["identity"]) == (429, "17", "reader")
    assert not answer.seen
    assert through(request_filter, "GET", "/api/x", {"x-api-key": WRITER}, b"").status == 200
    assert through(request_filter, "GET", "/health", {"x-api-key": READER}, b"").status == 200


@STACKS
@pytest.mark.parametrize("access", [Access.NONE, Access.TOKEN, Access.BASIC])
def test_nobody_gets_an_address_of_the_store(through: Callable[..., Answered], access: Access) -> None:
    """It would outlive a key and has no limit; MLflow's clients take the answer for leave to upload by the server."""
    headers = {Access.TOKEN: {"x-api-key": WRITER}, Access.BASIC: login("root", "two")}.get(access, {})
    path = "/api/2.0/mlflow-artifacts/mpu/create/a/b"
    answer = through(filter_of(Settings(access=access)), "POST", path, headers, b"")
    assert (answer.status, answer.seen) == (501, [])
    assert json.loads(answer.body)["message"] == "Multipart upload is not supported for the current artifact repository"


@STACKS
def test_credentials_of_others_need_a_key_of_scope_admin(through: Callable[..., Answered]) -> None:
    """An expired key opens nothing, but the log still knows whose it was."""
    request_filter = filter_of(Settings(access=Access.TOKEN))
    for key, status in ((READER, 403), (WRITER, 403), (ADMIN, 200), (EXPIRED, 401)):
        assert through(request_filter, "POST", "/api/2.0/mlflow/webhooks", {"x-api-key": key}, b"").status == status
    assert through(request_filter, "GET", "/api/x", {"x-api-key": EXPIRED}, b"").log[0]["identity"] == "expired"


def test_headers_with_an_underscore_do_not_count() -> None:
    """Flask would take them for those with a hyphen; under WSGI gunicorn's parser drops them (test below)."""
    through = through_asgi
    request_filter = filter_of(Settings(access=Access.TOKEN))
    assert through(request_filter, "GET", "/api/x", {"x_api_key": READER}, b"").status == 401
    seen = through(request_filter, "GET", "/api/x", {"x-api-key": READER, "script_name": "/x", "x_a": "b"}, b"").seen
    assert set(seen[0]) == set()


def test_gunicorn_drops_headers_with_an_underscore() -> None:
    """Of all its releases: 21.2 hands them on, and takes SCRIPT_NAME for the path's first part."""

    class Message:
        def parse_headers(self, data: bytes) -> list[tuple[str, str]]:
            return [tuple(line.split(": ", 1)) for line in data.decode().splitlines()]  # type: ignore[misc]

    refuse_underscores(Message)
    found = Message().parse_headers(b"HOST: a\nX_API_KEY: k\nSCRIPT_NAME: /api\nX-API-KEY: l")
    assert found == [("HOST", "a"), ("X-API-KEY", "l")]


@STACKS
def test_a_change_is_a_line_of_the_audit(through: Callable[..., Answered]) -> None:
    """Also one that was refused; nothing that reads is."""
    request_filter = filter_of(Settings(access=Access.BASIC))
    path = "/api/2.0/mlflow/registered-models/alias"
    for headers, status in ((login("ann", "one"), 200), (login("ann", "wrong"), 401)):
        lines = through(request_filter, "POST", path, headers, b"{}").log
        (line,) = [each for each in lines if each["kind"] == "audit"]
        assert (line["identity"], line["action"], line["status"]) == ("ann", f"POST {path}", status)
        assert line["verified"] is (status == 200)
    assert [each["kind"] for each in through(request_filter, "GET", path, login("ann", "one"), b"").log] == ["access"]


ARTIFACT = "/api/2.0/mlflow-artifacts/artifacts/a/b.bin"


@STACKS
@pytest.mark.parametrize("announced", [True, False])
@pytest.mark.parametrize(
    ("path", "size", "status"),
    [(ARTIFACT, 100, 200), (ARTIFACT, 101, 413), ("/api/x", 50, 200), ("/api/x", 51, 413)],
)
def test_a_body_over_its_limit_is_a_413_that_names_the_limit(
    through: Callable[..., Answered], path: str, size: int, status: int, *, announced: bool
) -> None:
    """Artifacts have a limit of their own, and one that is announced too short or not at all is counted."""
    settings = Settings(max_request_bytes=50, max_artifact_bytes=100)
    headers = {"content-length": str(size)} if announced else {}
    answer = through(filter_of(settings), "PUT", path, headers, b"x" * size)
    assert answer.status == status
    assert len(answer.seen) == (not announced or status == 200)
    if status == 413:
        limit = 100 if path == ARTIFACT else 50
        assert f"at most {limit} bytes" in json.loads(answer.body)["message"]
        assert answer.headers["connection"] == "close"


@STACKS
@pytest.mark.parametrize(
    ("given_id", "kept"), [("abc-123", True), ("a" * 129, False), ("two words", False), ('"quoted"', False)]
)
def test_a_request_id_is_kept_when_it_is_fit_for_a_log(
    through: Callable[..., Answered], given_id: str, *, kept: bool
) -> None:
    """The same id is in the answer and in the log; traceparent is logged, and passed on as it came."""
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    headers = {"x-request-id": given_id, "traceparent": trace}
    answer = through(filter_of(Settings()), "GET", "/api/x", headers, b"")
    assert (answer.headers["x-request-id"] == given_id) is kept
    assert answer.log[0]["request_id"] == answer.headers["x-request-id"]
    assert answer.log[0]["traceparent"] == answer.seen[0]["traceparent"] == trace


def test_a_request_over_its_time_is_a_504_and_a_late_answer_is_dropped() -> None:
    """One answer goes out, whatever the application says afterwards."""

    async def run() -> list[Any]:
        sent: list[Any] = []
        over = asyncio.Event()

        async def application(_scope: Any, _receive: Any, send: Any) -> None:
            await over.wait()
            await send({"type": "http.response.start", "status": 200, "headers": []})

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "http.request"}

        request_filter = filter_of(Settings(request_timeout_s=1))
        recorder = Recorder(template=lambda _, path, __: path, metrics=None, log=False)
        scope = {"type": "http", "method": "GET", "path": "/api/x", "headers": []}
        await AsgiFilter(application, request_filter, recorder)(scope, receive, send)
        over.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return sent

    sent = asyncio.run(run())
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[0]["status"] == 504
    assert json.loads(sent[1]["body"])["error_code"] == "TIMEOUT"


@STACKS
@pytest.mark.parametrize("form", FORMS, ids=lambda form: repr(form[:20]))
def test_what_is_no_login_is_the_same_401(through: Callable[..., Answered], form: str) -> None:
    """No form of the header breaks anything, and none is hashed."""
    request_filter = filter_of(Settings(access=Access.BASIC))
    answer = through(request_filter, "POST", "/api/2.0/mlflow/runs/create", {"authorization": form}, b"x")
    assert (answer.status, answer.seen) == (401, [])
    assert answer.headers["www-authenticate"] == 'Basic realm="mlflow"'


@given(header=st.text(st.characters(max_codepoint=255), max_size=60) | st.binary(max_size=60).map(encoded))
def test_no_header_breaks_the_parser(header: str) -> None:
    """It gives a login that can be looked up and hashed, or none."""
    found = credentials.parse(header)
    assert found is None or (found.name and (found.name + found.password).isprintable())


@pytest.mark.parametrize(
    "environment",
    [
        {"MLFLOW_BACKEND_ACCESS": "s3cret"},
        {"MLFLOW_BACKEND_ACCESS": "token"},
        {"MLFLOW_BACKEND_METRICS_PORT": "65536"},
        {"MLFLOW_BACKEND_MAX_REQUEST_BYTES": "-1"},
        {"MLFLOW_BACKEND_MAX_REQUEST_BYTES": "s3cret"},
        {"MLFLOW_BACKEND_AUTH_CACHE_SECONDS": "61"},
        {"MLFLOW_BACKEND_ACCESS_LOG": "s3cret"},
        {"MLFLOW_BACKEND_API_KEY_REQUESTS_PER_MINUTE": "5"},
    ],
)
def test_settings_that_make_no_sense_are_named_without_their_value(environment: dict[str, str]) -> None:
    """The variable and the rule, never the value."""
    with pytest.raises(SettingsError) as caught:
        from_environment(environment)
    assert next(iter(environment)) in str(caught.value)
    assert "s3cret" not in str(caught.value)


REDIS = {"MLFLOW_BACKEND_REDIS_URL": "redis://cache/0"}
KEYS = {"MLFLOW_BACKEND_ACCESS": "token", "MLFLOW_BACKEND_API_KEYS": "/keys.json"}


@pytest.mark.parametrize(
    ("environment", "limit"),
    [
        (KEYS, 0),
        (KEYS | REDIS, 6000),
        (KEYS | {"MLFLOW_SERVER_JOB_HUEY_REDIS_URL": "redis://cache/0"}, 6000),
        (KEYS | REDIS | {"MLFLOW_BACKEND_API_KEY_REQUESTS_PER_MINUTE": "0"}, 0),
        (KEYS | REDIS | {"MLFLOW_BACKEND_API_KEY_REQUESTS_PER_MINUTE": "7"}, 7),
        (REDIS, 0),
        (REDIS | {"MLFLOW_BACKEND_ACCESS": "basic"}, 0),
    ],
)
def test_api_keys_are_limited_wherever_there_is_a_cache(environment: dict[str, str], limit: int) -> None:
    """The limit holds by default; 0 turns it off, and without a cache nothing can be counted."""
    assert from_environment(environment).requests_per_minute == limit


PREFIXED = Settings(access=Access.TOKEN, path_prefix="/team/ml")


@STACKS
@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/2.0/mlflow/runs/get", 200),
        ("POST", "/api/2.0/mlflow/runs/create", 403),
        ("GET", "/", 200),
        ("GET", "/health", 200),
        ("GET", "/health/ready", 200),
        ("GET", "/health/identity", 503),
        ("PUT", f"/api/2.0/mlflow-artifacts/artifacts/{OBJECT}", 403),
    ],
)
@pytest.mark.parametrize("prefix", ["/team/ml", ""])
def test_below_a_prefix_requests_are_checked_as_without_it(
    through: Callable[..., Answered], prefix: str, method: str, path: str, status: int
) -> None:
    """Scopes, health and what is refused hold below it; the log has the path as it was sent."""
    answer = through(filter_of(PREFIXED), method, prefix + path, {"x-api-key": READER}, b"")
    assert answer.status == status
    assert answer.log[0]["path"] == prefix + path
    assert answer.paths == ([path] if answer.seen else [])


@STACKS
def test_what_only_begins_like_the_prefix_is_not_below_it(through: Callable[..., Answered]) -> None:
    """A path of another application keeps its name, and the prefix itself leads to the page."""
    for path in ("/team/mlx", "/team", "/teams/ml/"):
        assert through(filter_of(PREFIXED), "GET", path, {"x-api-key": READER}, b"").paths == [path]
    moved = through(filter_of(PREFIXED), "GET", "/team/ml", {}, b"")
    assert (moved.status, moved.headers["location"]) == (308, "/team/ml/")


@pytest.mark.parametrize(
    ("raw", "location", "expected"),
    [
        ("/ml/a", "/b", "/ml/b"),
        ("/ml/a", "/ml/b", "/ml/b"),
        ("/ml/a", "/mlx", "/ml/mlx"),
        ("/ml/a", "b", "b"),
        ("/ml/a", "https://x/b", "https://x/b"),
        ("/ml/a", "//x/b", "//x/b"),
        ("/a", "/b", "/b"),
    ],
)
def test_a_redirect_leads_below_the_prefix_that_was_called(raw: str, location: str, expected: str) -> None:
    """MLflow knows nothing of the prefix, so its redirects leave it out."""
    request = Request(method="GET", path="/a", raw_path=raw, headers={})
    assert with_prefix(location, request) == expected
