"""The client of Google's APIs: what it repeats, what it gives up, and what it never says."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.gcp.api import ENDPOINTS, RUN, SECRETS, Api, GoogleError, endpoints
from mlflow_backend.pace import Pace
from tests.components.messages import raised
from tests.loopback_http import Handler, LoopbackServer

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.service]


class Google:
    """Gives the answers that a test put up, in order, and keeps what it was asked."""

    def __init__(self) -> None:
        """Start it on a free port of loopback."""
        self.answers: list[tuple[int, Any]] = []
        self.asked: list[tuple[str, str]] = []
        owner = self

        class Listed(Handler):
            def reply(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                owner.asked.append((self.command, self.path))
                status, document = owner.answers.pop(0)
                self.answer(status, json.dumps(document).encode())

        self._server = LoopbackServer(Listed)
        self.url, self.close = self._server.url, self._server.close


class Tokens:
    """Credentials whose first token has been revoked."""

    def __init__(self) -> None:
        """Nothing was renewed yet."""
        self.renewed = 0

    def headers(self) -> dict[str, str]:
        """Return the newest token's."""
        return {"Authorization": f"Bearer {self.renewed}"}

    def renew(self) -> None:
        """Have another one."""
        self.renewed += 1


class Clock:
    """A clock that only pauses move."""

    def __init__(self) -> None:
        """Begin at 0."""
        self.now = 0.0

    def pause(self, seconds: float) -> None:
        """Move it."""
        self.now += seconds


@pytest.fixture
def google(monkeypatch: pytest.MonkeyPatch) -> Iterator[Google]:
    """Google, in whose place the product calls it."""
    made = Google()
    monkeypatch.setenv(ENDPOINTS, json.dumps(dict.fromkeys((RUN, SECRETS), made.url)))
    yield made
    made.close()


@pytest.fixture
def api(google: Google) -> Api:
    """The client."""
    clock = Clock()
    made = Api(pace=Pace(clock=lambda: clock.now, pause=clock.pause))
    made.credentials = Tokens()  # type: ignore[assignment]
    return made


ERROR = {"error": {"code": 0, "status": "RESOURCE_EXHAUSTED", "message": "slower"}}


@pytest.mark.parametrize(("method", "status"), [("GET", 429), ("POST", 429), ("PATCH", 503), ("GET", 500)])
def test_what_did_nothing_is_repeated(google: Google, api: Api, method: str, status: int) -> None:
    """A call that was turned away by its rate did nothing; one that may be made twice is made again anyway."""
    google.answers = [(status, ERROR), (status, ERROR), (200, {"a": 1})]
    assert api.call(method, RUN, "v2/x") == {"a": 1}
    assert google.asked == [(method, "/v2/x")] * 3


def test_what_may_have_made_something_is_not(google: Google, api: Api) -> None:
    """A job that was started twice would be two writers."""
    google.answers = [(503, ERROR)]
    with pytest.raises(GoogleError) as caught:
        api.call("POST", RUN, "v2/jobs/x:run", {})
    assert caught.value.status == 503


def test_patience_ends(google: Google, api: Api) -> None:
    """Google's words are then the error's."""
    google.answers = [(429, ERROR)] * 100
    with raised("gcp-refused", "run.googleapis.com/v2/x", "slower", "429", kind=PlatformFailed):
        api.get(RUN, "v2/x")


def test_a_token_is_renewed_once(google: Google, api: Api) -> None:
    """It may have been revoked; a second refusal is one of the caller."""
    google.answers = [(401, ERROR), (200, {})]
    assert api.call("GET", RUN, "v2/x") == {}
    google.answers = [(401, ERROR), (401, ERROR)]
    with pytest.raises(GoogleError):
        api.call("GET", RUN, "v2/x")


def test_what_is_not_there_is_none(google: Google, api: Api) -> None:
    """A list of what is not there is empty; pages are read to the last one."""
    google.answers = [(404, ERROR), (404, ERROR), (200, {"x": [1], "nextPageToken": "t"}), (200, {"x": [2]})]
    assert api.get(RUN, "v2/x") is None
    assert list(api.pages(RUN, "v2/x", "x")) == []
    assert list(api.pages(RUN, "v2/x", "x", {"pageSize": "1"})) == [1, 2]
    assert google.asked[-1] == ("GET", "/v2/x?pageSize=1&pageToken=t")


def test_a_refused_secret_is_not_said(google: Google, api: Api) -> None:
    """Google's message may repeat what it was sent."""
    google.answers = [(400, {"error": {"status": "INVALID_ARGUMENT", "message": "hunter2"}})]
    with pytest.raises(GoogleError) as caught:
        api.call("POST", SECRETS, "v1/x:addVersion", {})
    assert "hunter2" not in str(caught.value)
    assert "INVALID_ARGUMENT" in str(caught.value)


def test_nobody_answers(api: Api, google: Google) -> None:
    """Then it is said who was asked."""
    google.close()
    with raised("gcp-unreachable", "run.googleapis.com", kind=PlatformFailed):
        api.call("GET", RUN, "v2/x")


def test_endpoints_are_roots() -> None:
    """With or without a slash at the end; what is none is refused."""
    assert endpoints("") == {}
    assert endpoints('{"a": "http://b/c"}') == endpoints('{"a": "http://b/c/"}') == {"a": "http://b/c/"}
    for text in ("[]", "{", "3"):
        with raised("gcp-endpoints-malformed", ENDPOINTS, kind=Refused):
            endpoints(text)
