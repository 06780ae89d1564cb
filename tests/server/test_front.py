"""The front around an application, on both stacks: what it answers itself and what it lets through."""

from __future__ import annotations

import asyncio
import base64
import io
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow_backend_server.access.keys import Scope, mint
from mlflow_backend_server.access.sources import KeyRing
from mlflow_backend_server.front import BasicAuth, Front, basic_credentials
from mlflow_backend_server.health.board import Board
from mlflow_backend_server.health.identity import OBJECT
from mlflow_backend_server.health.readiness import Readiness
from mlflow_backend_server.health.states import Away, Component
from mlflow_backend_server.http.asgi import AsgiFront
from mlflow_backend_server.http.record import Recorder
from mlflow_backend_server.http.wsgi import WsgiFront
from mlflow_backend_server.settings import Access, Settings, SettingsError, from_environment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

SECRET = "very-s3cret-detail"
READER, READER_ENTRY = mint("reader", Scope.READ)
WRITER, WRITER_ENTRY = mint("writer", Scope.WRITE)
RING = KeyRing(lambda: json.dumps({"keys": [READER_ENTRY, WRITER_ENTRY]}))
PASSWORD = "Basic " + base64.b64encode(b"ann:one").decode()


@dataclass
class Answered:
    """What came out."""

    status: int
    headers: dict[str, str]
    body: bytes
    seen: list[dict[str, str]]
    log: list[dict[str, Any]] = field(default_factory=list)


def away() -> str:
    """Fail with a detail that nobody without credentials may see."""
    raise Away(SECRET)


class Untold:
    """Identities that fail with a detail that nobody without credentials may see."""

    def document(self) -> dict[str, Any]:
        """Fail."""
        raise Away(SECRET)


def front_of(settings: Settings, *, broken: bool = True) -> Front:
    """A front whose only component is broken or fine."""
    part = Component(name="database", ask=away if broken else lambda: "fine")
    basic = BasicAuth(
        valid=lambda user, password: (user, password) == ("ann", "one"),
        unprotected=lambda path: path == "/health",
        guards_every_route=False,
    )
    return Front(
        settings=settings,
        board=Board((part,)),
        readiness=Readiness(()),
        identities=Untold(),  # type: ignore[arg-type]
        ring=RING if settings.access is Access.TOKEN else None,
        basic=basic if settings.access is Access.BASIC else None,
    )


def through_asgi(front: Front, method: str, path: str, headers: dict[str, str], body: bytes) -> Answered:
    """Send one request through the ASGI side, around an application that reads all and says ok."""
    seen: list[dict[str, str]] = []
    lines: list[bytes] = []
    sent: list[Any] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        seen.append({name.decode(): value.decode("latin-1") for name, value in scope["headers"]})
        while (await receive()).get("more_body"):
            pass
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    pieces = [body[start : start + 10] for start in range(0, len(body), 10)] or [b""]
    incoming = [
        {"type": "http.request", "body": piece, "more_body": place < len(pieces) - 1}
        for place, piece in enumerate(pieces)
    ]

    async def receive() -> Any:
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def send(message: Any) -> None:
        sent.append(message)

    recorder = Recorder(template=lambda _, path, __: path, metrics=None, log=True, write=lines.append)
    raw = [(name.encode("latin-1", "replace"), value.encode("latin-1", "replace")) for name, value in headers.items()]
    path, _, query = path.partition("?")
    scope = {"type": "http", "method": method, "path": path, "headers": raw, "client": ("1.2.3.4", 5)}
    scope["query_string"] = query.encode()
    asyncio.run(AsgiFront(application, front, recorder)(scope, receive, send))
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    return Answered(
        status=sent[0]["status"],
        headers={name.decode(): value.decode() for name, value in sent[0]["headers"]},
        body=sent[1]["body"],
        seen=seen,
        log=[json.loads(line) for line in lines],
    )


def through_wsgi(front: Front, method: str, path: str, headers: dict[str, str], body: bytes) -> Answered:
    """Send one request through the WSGI side, around an application that reads all and says ok."""
    seen: list[dict[str, str]] = []
    lines: list[bytes] = []
    started: list[Any] = []

    def application(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        seen.append(
            {name[5:].lower().replace("_", "-"): value for name, value in environ.items() if name.startswith("HTTP_")}
        )
        while environ["wsgi.input"].read(10):
            pass
        start_response("200 OK", [])
        return [b"ok"]

    environ = {f"HTTP_{name.upper().replace('-', '_')}": value for name, value in headers.items()}
    if length := environ.pop("HTTP_CONTENT_LENGTH", None):
        environ["CONTENT_LENGTH"] = length
    path, _, environ["QUERY_STRING"] = path.partition("?")
    environ |= {"REQUEST_METHOD": method, "PATH_INFO": path.encode().decode("latin-1"), "REMOTE_ADDR": "1.2.3.4"}
    recorder = Recorder(template=lambda _, path, __: path, metrics=None, log=True, write=lines.append)
    answer: Any = WsgiFront(application, front, recorder)(
        {**environ, "wsgi.input": io.BytesIO(body)}, lambda *said: started.append(said)
    )
    content = b"".join(answer)
    answer.close()
    return Answered(
        status=int(started[0][0].split()[0]),
        headers={name.lower(): value for name, value in started[0][1]},
        body=content,
        seen=seen,
        log=[json.loads(line) for line in lines],
    )


STACKS = pytest.mark.parametrize("through", [through_asgi, through_wsgi], ids=["asgi", "wsgi"])


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
    """Everyone is told ok or degraded, by status too; only who has credentials learns more."""
    answer = through(front_of(Settings(access=access)), "GET", "/health/components", headers, b"")
    assert answer.status == 503
    assert (SECRET in answer.body.decode()) is full
    if not full:
        assert json.loads(answer.body) == {"status": "degraded"}


@STACKS
@pytest.mark.parametrize("access", list(Access))
def test_only_who_may_call_the_server_learns_who_it_is(through: Callable[..., Answered], access: Access) -> None:
    """The identity needs credentials wherever there are some."""
    front = front_of(Settings(access=access))
    good = {Access.NONE: {}, Access.TOKEN: {"x-api-key": READER}, Access.BASIC: {"authorization": PASSWORD}}[access]
    assert through(front, "GET", "/health/identity", good, b"").status == 503
    if access is not Access.NONE:
        for headers in ({}, {"x-api-key": "wrong"}, {"authorization": "Basic YW5uOnR3bw=="}):
            refused = through(front, "GET", "/health/identity", headers, b"")
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
    answer = through(front_of(Settings()), method, path.format(OBJECT), {}, b"x")
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
def test_health_neither_breaks_nor_tells(
    through: Callable[..., Answered], path: str, method: str, headers: dict[str, str], access: Access
) -> None:
    """Whatever stands in the headers: a whole answer, its status, nothing of the details, one line of log."""
    answer = through(front_of(Settings(access=access)), method, path, headers, b"")
    assert answer.status in {200, 503}
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
    answer = through(front_of(Settings(access=Access.TOKEN)), method, path, headers, b"")
    assert answer.status == status
    assert len(answer.seen) == (status == 200 and path != "/health")
    if answer.seen:
        assert "x-api-key" not in answer.seen[0]
        assert answer.seen[0]["x-other"] == "kept"
    assert answer.log[0]["identity"] == (
        {READER: "reader", WRITER: "writer"}.get(key or "") if status == 200 and key else ""
    )


@STACKS
def test_a_thousand_wrong_keys_get_one_and_the_same_answer(through: Callable[..., Answered]) -> None:
    """Neither the status nor a byte tells one wrong credential from another."""
    front = front_of(Settings(access=Access.TOKEN))
    wrong = [{"x-api-key": f"mlfb_{number}"} for number in range(900)]
    wrong += [{"authorization": value} for value in (PASSWORD, "Bearer", "Bearer x", "Digest x", "é") * 20]
    answers = [through(front, "GET", "/api/2.0/mlflow/runs/get", headers, b"") for headers in wrong]
    assert len(answers) == 1000
    for answer in answers:
        answer.headers.pop("x-request-id")
    assert {(each.status, each.body, str(sorted(each.headers.items()))) for each in answers} == {
        (401, answers[0].body, str(sorted(answers[0].headers.items())))
    }
    assert through(front, "GET", "/api/2.0/mlflow/runs/get", {"x-api-key": READER}, b"").status == 200


@STACKS
def test_routes_that_mlflow_leaves_open_under_basic_auth_are_closed(through: Callable[..., Answered]) -> None:
    """Where MLflow guards its Flask routes only, the front asks for the password everywhere else too."""
    front = front_of(Settings(access=Access.BASIC))
    assert through(front, "POST", "/v1/traces", {}, b"").status == 401
    assert through(front, "POST", "/v1/traces", {"authorization": PASSWORD}, b"").status == 200
    assert through(front, "GET", "/health", {}, b"").status == 200
    relying = replace(front, basic=replace(front.basic, guards_every_route=True))  # type: ignore[type-var]
    assert through(relying, "POST", "/v1/traces", {}, b"").status == 200


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
    answer = through(front_of(settings), "PUT", path, headers, b"x" * size)
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
    answer = through(front_of(Settings()), "GET", "/api/x", headers, b"")
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

        front = front_of(Settings(request_timeout_s=1))
        recorder = Recorder(template=lambda _, path, __: path, metrics=None, log=False)
        scope = {"type": "http", "method": "GET", "path": "/api/x", "headers": []}
        await AsgiFront(application, front, recorder)(scope, receive, send)
        over.set()
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        return sent

    sent = asyncio.run(run())
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    assert sent[0]["status"] == 504
    assert json.loads(sent[1]["body"])["error_code"] == "TIMEOUT"


@pytest.mark.parametrize("header", ["", "Basic", "Basic x", "Basic YQ==", "Bearer YTpi", "Basic \xff", "Basic /w=="])
def test_what_is_no_user_and_password_is_none(header: str) -> None:
    """No form of the header breaks the parser."""
    assert basic_credentials(header) is None


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
