"""Google's REST APIs, as far as this project asks them: documents and objects, each call with a deadline.

A call that was turned away because of its rate is repeated, and one that may be repeated also while Google is away: a
minute of it in the middle of an update must not fail the update.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import urllib3

from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.gcp.credentials import Credentials
from mlflow_backend.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Iterator

Document = dict[str, Any]
Query = Mapping[str, str | list[str]] | None

ENDPOINTS: Final = "MLFLOW_BACKEND_GCP_ENDPOINTS"
"""Variable with a JSON object: host of an API -> root URL that is called in its place, such as a private endpoint's."""
KEY_FILE: Final = "GOOGLE_APPLICATION_CREDENTIALS"
"""Google's own variable, which names the credentials of a program."""
RUN: Final = "run.googleapis.com"
SECRETS: Final = "secretmanager.googleapis.com"
SQL: Final = "sqladmin.googleapis.com"
REDIS: Final = "redis.googleapis.com"
STORAGE: Final = "storage.googleapis.com"
LOGGING: Final = "logging.googleapis.com"
IDENTITY: Final = "iamcredentials.googleapis.com"
PROJECTS: Final = "cloudresourcemanager.googleapis.com"
USAGE: Final = "serviceusage.googleapis.com"

NOT_FOUND, CONFLICT, PRECONDITION = 404, 409, 412
_UNAUTHORISED, _TOO_MANY = 401, 429
_AWAY: Final = frozenset({500, 502, 503, 504})
_FIRST_ERROR: Final = 400
_TIMEOUT: Final = urllib3.Timeout(connect=5, read=60)
_PATIENCE_S: Final = 60.0
_LONGEST_PAUSE_S: Final = 16.0
_JSON: Final = {"Content-Type": "application/json"}
_READ: Final = "GET"
# A call of these may be repeated although its answer was lost; a POST may have made something.
_REPEATABLE: Final = frozenset({_READ, "PUT", "PATCH", "DELETE"})


class GoogleError(PlatformFailed):
    """Google understood a call and did not do it. `status` is HTTP's, `reason` Google's own word for it."""

    def __init__(self, finding: str, *, status: int, reason: str, part: str) -> None:
        """Take Google's own words; `part` is what was called."""
        super().__init__(
            finding,
            code="gcp-refused",
            fix="Do what is said, or give the deployer this permission, and repeat",
            part=part,
        )
        self.status, self.reason = status, reason


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer of Google's; names of `headers` are found in any spelling."""

    status: int
    headers: Mapping[str, str]
    content: bytes


@dataclass(kw_only=True)
class Api:
    """Google Cloud, asked with the credentials of the surroundings."""

    pace: Pace = field(default_factory=Pace)
    pool: urllib3.PoolManager = field(default_factory=lambda: urllib3.PoolManager(maxsize=16, timeout=_TIMEOUT))
    credentials: Credentials = field(init=False)
    _roots: Mapping[str, str] = field(default_factory=lambda: endpoints(os.environ.get(ENDPOINTS, "")))

    def __post_init__(self) -> None:
        """Nothing is asked yet."""
        self.credentials = Credentials(pool=self.pool)

    def get(self, host: str, path: str, query: Query = None) -> Document | None:
        """Return a document; None if it is not there."""
        try:
            return self.call(_READ, host, path, query=query)
        except GoogleError as error:
            if error.status == NOT_FOUND:
                return None
            raise

    def call(self, method: str, host: str, path: str, body: Document | None = None, *, query: Query = None) -> Document:
        """Return the answer to a call. Raises GoogleError, and PlatformFailed if Google is not reached."""
        content = None if body is None else json.dumps(body).encode()
        answer = self.answer(method, host, path, content, headers=_JSON, query=query)
        found: Document = json.loads(answer.content or b"{}")
        return found

    def pages(self, host: str, path: str, key: str, query: Query = None, *, needed: bool = False) -> Iterator[Any]:
        """Give what every page of a list has under `key`; nothing if what is listed is not there, unless it is needed.

        Raises GoogleError.
        """
        token = ""
        while True:
            asked = {**(query or {}), **({"pageToken": token} if token else {})}
            page = self.call(_READ, host, path, query=asked) if needed else self.get(host, path, asked) or {}
            yield from page.get(key, [])
            if not (token := page.get("nextPageToken", "")):
                return

    def answer(  # noqa: PLR0913 - the parts of a call, by name
        self,
        method: str,
        host: str,
        path: str,
        content: bytes | None = None,
        *,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = False,
        query: Query = None,
    ) -> Answer:
        """Return an answer.

        `repeatable` is for a POST that may be made twice. Raises GoogleError, and PlatformFailed if Google is not
        reached.
        """
        began, pause, renewed = self.pace.clock(), self.pace.poll_s, False
        url = f"{self._root(host)}{path}{f'?{urlencode(query, doseq=True)}' if query else ''}"
        while True:
            found = self._once(method, url, content, headers or {})
            if found is not None and found.status == _UNAUTHORISED and not renewed:
                self.credentials.renew()
                renewed = True
                continue
            harmless = repeatable or method in _REPEATABLE
            away = found is None or found.status in _AWAY
            again = (away and harmless) or (found is not None and found.status == _TOO_MANY)
            if not again or self.pace.clock() - began >= _PATIENCE_S:
                break
            self.pace.pause(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
        if found is None:
            raise PlatformFailed(
                f"{host} is not reached",
                code="gcp-unreachable",
                fix="See that this machine reaches it, and repeat",
            )
        if found.status >= _FIRST_ERROR:
            raise _refusal(host, path, found.status, found.content)
        return found

    def _once(self, method: str, url: str, content: bytes | None, more: Mapping[str, str]) -> Answer | None:
        """Return an answer of any status; None if there was none."""
        headers = {**self.credentials.headers(), **more}
        try:
            found = self.pool.request(method, url, body=content, headers=headers, retries=False, redirect=False)
        except urllib3.exceptions.HTTPError:
            return None
        return Answer(status=found.status, headers=found.headers, content=found.data)

    def _root(self, host: str) -> str:
        return self._roots.get(host, f"https://{host}/")


def shared() -> Api:
    """Return the one connection of this process to Google: each other one would log in again."""
    return _shared(os.environ.get(ENDPOINTS, ""), os.environ.get(KEY_FILE, ""))


@cache
def _shared(*_surroundings: str) -> Api:
    return Api()


def endpoints(text: str) -> dict[str, str]:
    """Return the roots that the variable ENDPOINTS names, each with a slash at its end. Raises Refused."""
    if not text:
        return {}
    try:
        found = json.loads(text)
        return {host: f"{root.rstrip('/')}/" for host, root in found.items()}
    except (ValueError, AttributeError):
        raise Refused(
            f"{ENDPOINTS} is no JSON object of hosts and root URLs.",
            code="gcp-endpoints-malformed",
            fix='Write it as {"run.googleapis.com": "https://HOST/"}, or remove it.',
        ) from None


def _refusal(host: str, path: str, status: int, answer: bytes) -> GoogleError:
    try:
        error = json.loads(answer)["error"]
        reason, words = str(error.get("status", "")), str(error.get("message", ""))
    except (ValueError, KeyError, TypeError, AttributeError):
        reason, words = "", ""
    # What Secret Manager and Cloud SQL's users are sent may be repeated in the message.
    if host == SECRETS or path.endswith("/users"):
        words = ""
    said = ": ".join(filter(None, (reason, words))) or "no reason given"
    return GoogleError(f"{said} (HTTP {status})", status=status, reason=reason, part=f"{host}/{path}")
