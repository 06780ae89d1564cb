"""Google's REST APIs as the stand-in calls them: by their own names, with the application's default credentials."""

from __future__ import annotations

import json
import threading
import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlencode

import google.auth
import google.auth.transport.urllib3
import urllib3

from tests.rig.standin.base import Gone, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_SCOPES: Final = ("https://www.googleapis.com/auth/cloud-platform",)
_TIMEOUT: Final = urllib3.Timeout(connect=10, read=120)
_DEADLINE_S: Final = 600
_POLL_S: Final = 0.1
_MISSING: Final = 404


class Api:
    """Calls. `root` returns the root URL of an API's host, `token` an access token; by default both are Google's."""

    def __init__(self, *, root: Callable[[str], str] | None = None, token: Callable[[], str] | None = None) -> None:
        self._root, self._token = root or (lambda host: f"https://{host}/"), token or self._own_token
        self._pool, self._lock = urllib3.PoolManager(), threading.Lock()
        self._credentials: Any = None
        self.cancelled = threading.Event()

    def call(self, method: str, host: str, path: str, body: Any = None, **query: Any) -> dict[str, Any]:
        """Call, and return the answer's document. Raises Gone for what is not there, Refused for other errors."""
        if self.cancelled.is_set():
            raise Refused("the update was cancelled")
        url = f"{self._root(host)}{path}" + (f"?{urlencode(query)}" if query else "")
        headers = {"Authorization": f"Bearer {self._token()}"}
        answer = self._pool.request(method, url, json=body, headers=headers, timeout=_TIMEOUT, retries=False)
        document: dict[str, Any] = json.loads(answer.data or b"{}")
        if answer.status == _MISSING:
            raise Gone(document["error"]["message"])
        if answer.status >= 400:
            error = document["error"]
            raise Refused(f"googleapi: Error {error['code']}: {error['message']}")
        return document

    def done(self, host: str, operation: Mapping[str, Any], path: str) -> dict[str, Any]:
        """Wait for an operation, asked for at `path`, and return it. Raises Refused for its error."""
        until, found = time.monotonic() + _DEADLINE_S, dict(operation)
        while not (found.get("done") or found.get("status") == "DONE"):
            if time.monotonic() > until:
                raise Refused(f"the operation {operation['name']} takes too long")
            self.cancelled.wait(_POLL_S)
            found = self.call("GET", host, path)
        if "error" in found:
            error = found["error"]
            raise Refused(f"Error code {error.get('code')}, message: {error.get('message') or error.get('errors')}")
        return found

    def _own_token(self) -> str:
        with self._lock:
            if self._credentials is None:
                self._credentials, _ = google.auth.default(scopes=_SCOPES)
            if not self._credentials.valid:
                self._credentials.refresh(google.auth.transport.urllib3.Request(self._pool))  # type: ignore[no-untyped-call]
            return str(self._credentials.token)
