"""Requests that go to Flask at once: bodies, answers and headers as WSGI wants them."""

from __future__ import annotations

import asyncio
import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mlflow_backend_server.http.direct import Direct
from mlflow_backend_server.http.exchange import Request
from mlflow_backend_server.http.record import Exchange, log_line

if TYPE_CHECKING:
    from collections.abc import Iterator

HEADERS = [(b"host", b"h"), (b"cookie", b"a=1"), (b"cookie", b"b=2"), (b"x-list", b"1"), (b"x-list", b"2")]


class EveryRoute:
    """Routes that Flask serves all of."""

    def flask_rule(self, _method: str, _path: str) -> str:
        """Return a template."""
        return "/x"

    def is_native(self, _method: str, _path: str) -> bool:
        """Tell that FastAPI has none."""
        return False


class Pieces:
    """A streamed answer that knows whether it was closed, and may fail on the way."""

    def __init__(self, *pieces: bytes, fails: bool = False) -> None:
        """Hold the pieces."""
        self.pieces, self.fails, self.closed = pieces, fails, False

    def __iter__(self) -> Iterator[bytes]:
        """Give them one by one."""
        yield from self.pieces
        if self.fails:
            raise RuntimeError("the store went away")

    def close(self) -> None:
        """Note it."""
        self.closed = True


def serve(app: Any, messages: list[dict[str, Any]], path: str = "/x/ä") -> list[dict[str, Any]]:
    """Serve one request with the given messages as its body, and return what was sent."""
    sent: list[dict[str, Any]] = []
    left = iter(messages)

    async def receive() -> dict[str, Any]:
        # As servers do it: after the body there is nothing to receive but the client's leaving.
        return next(left, None) or await asyncio.Event().wait()  # type: ignore[func-returns-value]

    async def send(message: Any) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "PUT", "path": path, "query_string": b"q=1", "headers": HEADERS}
    routes: Any = EveryRoute()
    asyncio.run(Direct(app, None, routes)(scope, receive, send))
    return sent


@pytest.mark.parametrize("pieces", [1, 7])
@pytest.mark.parametrize("size", [0, 10, 3 * 1024 * 1024])
def test_a_body_arrives_whole_with_its_length_however_it_comes(size: int, pieces: int) -> None:
    """In memory or in a file, in one piece or chunked without a length of its own."""
    body = bytes(number % 251 for number in range(1024)) * (size // 1024) + b"x" * (size % 1024)
    step = max(1, size // pieces)
    cut = [body[start : start + step] for start in range(0, max(size, 1), step)]
    messages: list[dict[str, Any]] = [{"type": "http.request", "body": piece, "more_body": True} for piece in cut]
    messages.append({"type": "http.request", "body": b""})

    def app(environ: dict[str, Any], start: Any) -> list[bytes]:
        read = environ["wsgi.input"].read()
        start("200 OK", [("X-Seen", "1")])
        said = [environ["CONTENT_LENGTH"], hashlib.sha256(read).hexdigest(), environ["HTTP_COOKIE"]]
        return [json.dumps([*said, environ["HTTP_X_LIST"], environ["PATH_INFO"], environ["QUERY_STRING"]]).encode()]

    start, answer = serve(app, messages)
    assert (start["status"], start["headers"]) == (200, [(b"x-seen", b"1")])
    seen = [str(size), hashlib.sha256(body).hexdigest(), "a=1; b=2", "1,2", "/x/ä".encode().decode("latin-1"), "q=1"]
    assert json.loads(answer["body"]) == seen


def app_of(answer: Any, kind: str = "application/octet-stream") -> Any:
    """Return an application that gives this answer."""

    def app(_environ: dict[str, Any], start: Any) -> Any:
        start("206 Partial Content", [("Content-Type", kind)])
        return answer

    return app


@given(sizes=st.lists(st.integers(0, 300_000), max_size=5), lines=st.booleans())
def test_a_streamed_answer_is_passed_on_in_large_pieces_and_closed(sizes: list[int], *, lines: bool) -> None:
    """A large artifact is never held whole, and never sent line by line, as MLflow 3.4 gives it."""
    content = [b"x" * size for size in sizes]
    given_out = [part[at : at + 1000] for part in content for at in range(0, len(part), 1000)] if lines else content
    answer = Pieces(*given_out)
    _, *bodies = serve(app_of(answer), [{"type": "http.request"}])
    pieces = [message["body"] for message in bodies]
    assert b"".join(pieces) == b"".join(content)
    assert all(64 * 1024 <= len(piece) <= 128 * 1024 + 300_000 for piece in pieces[:-1])
    assert [message["more_body"] for message in bodies] == [True] * (len(bodies) - 1) + [False]
    assert answer.closed


def test_live_events_are_sent_one_by_one() -> None:
    """An answer that a model gives word by word is not held back until there is a lot of it."""
    _, *bodies = serve(app_of(Pieces(b"data: a\n\n", b"data: b\n\n"), "text/event-stream"), [{"type": "http.request"}])
    assert [message["body"] for message in bodies if message["body"]] == [b"data: a\n\n", b"data: b\n\n"]


def test_an_answer_that_breaks_off_is_closed_and_seen() -> None:
    """The server must not end such an answer as if it were whole."""
    answer = Pieces(b"a", fails=True)

    def app(_environ: dict[str, Any], start: Any) -> Pieces:
        start("200 OK", [])
        return answer

    with pytest.raises(RuntimeError, match="went away"):
        serve(app, [{"type": "http.request"}])
    assert answer.closed


def test_a_client_that_goes_away_while_it_sends_is_not_served() -> None:
    """Half a body is no request."""
    called = []
    with pytest.raises(ConnectionResetError):
        serve(called.append, [{"type": "http.request", "body": b"a", "more_body": True}, {"type": "http.disconnect"}])
    assert not called


@given(st.text(max_size=3000), st.text(max_size=3000), st.text(max_size=63))
def test_an_access_log_line_is_whole_and_holds_no_query(path: str, route: str, agent: str) -> None:
    """One line of JSON that a pipe takes at once, whatever the path is made of."""
    request = Request(method="GET", path=path, raw_path=path, headers={"user-agent": agent}, client="::1")
    line = log_line(
        Exchange(request=request, request_id="1" * 128), route[:200].encode("ascii", "ignore").decode(), 0.5
    )
    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert len(line) <= 4096
    assert path.startswith(json.loads(line)["path"])
