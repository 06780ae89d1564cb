"""The current token of a source: fetched once for all threads, renewed before it expires and after it was refused."""

from __future__ import annotations

import contextlib
import dataclasses
import math
import os
import re
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

DEADLINE_S = 30.0
"""Seconds that a source may take, whatever it waits for."""
PAUSE_S = 10.0
"""Seconds until the next try to renew a token that could not be renewed, or that is expired by this machine's clock."""
_EARLIEST_RENEWAL_S = 300.0
# What a header can carry; both requests and http.client show a value that it cannot.
_PRINTABLE = re.compile(r"[\x21-\x7e]+")


class SignInFailed(Exception):
    """There is no token. The text names the source, the finding and the fix, and holds no secret."""


@dataclass(frozen=True)
class Token:
    """A token, and when to fetch the next one, in seconds by the clock of time.time()."""

    value: str = field(repr=False)
    renew_at: float = math.inf

    def __post_init__(self) -> None:
        """Refuse what no header can carry. Raises ValueError, which does not show it."""
        if not _PRINTABLE.fullmatch(self.value):
            raise ValueError("it is empty, or holds spaces, line breaks or characters beyond ASCII")


def renewal(expires_at: float, now: float) -> float:
    """Return when a token that is fetched now is renewed: five minutes before it expires, or at 3/4 of a shorter life.

    All three are in seconds by the clock of time.time(). A token that is expired by this clock is used for PAUSE_S: the
    clock is wrong, or the server will refuse it.
    """
    left = expires_at - now
    return now + (left - min(_EARLIEST_RENEWAL_S, left / 4) if left > 0 else PAUSE_S)


class Tokens:
    """The tokens of one source. `fetch` returns a new one, or raises SignInFailed."""

    def __init__(self, fetch: Callable[[], Token]) -> None:
        self._fetch = fetch
        self._token: Token | None = None
        self._failure, self._failed_at = "", -math.inf
        self._unlock()
        if hasattr(os, "register_at_fork"):
            # Another thread may hold the lock while this one forks, and nobody would release it in the child.
            os.register_at_fork(after_in_child=self._unlock)

    def _unlock(self) -> None:
        self._lock = threading.Lock()

    def current(self, refused: str = "") -> str:
        """Return the token to send, which the server did not refuse if the source has another. Raises SignInFailed."""
        asked_at = time.monotonic()
        if token := self._usable(refused):
            return token.value
        with self._lock:
            if token := self._usable(refused):
                return token.value
            if self._failed_at > asked_at:
                raise SignInFailed(self._failure)
            try:
                self._token = _in_time(self._fetch)
            except SignInFailed as failure:
                self._failure, self._failed_at = str(failure), time.monotonic()
                if self._token is None or self._token.value == refused:
                    raise
                self._token = dataclasses.replace(self._token, renew_at=time.time() + PAUSE_S)
            return self._token.value

    def _usable(self, refused: str) -> Token | None:
        token = self._token
        return token if token and token.value != refused and time.time() < token.renew_at else None


def _in_time(fetch: Callable[[], Token]) -> Token:
    """Fetch in a thread of its own, because an answer that comes in drops outlasts every time-out of a socket."""
    ended: list[Token | BaseException] = []

    def work() -> None:
        try:
            ended.append(fetch())
        except BaseException as error:  # noqa: BLE001 - raised again in the caller's thread
            ended.append(error)

    thread = threading.Thread(target=work, daemon=True)
    # At the interpreter's end, when MLflow ends its run, Python starts no thread any more.
    with contextlib.suppress(RuntimeError):
        thread.start()
    if thread.ident is None:
        work()
    else:
        thread.join(DEADLINE_S)
    if not ended:
        raise SignInFailed(f"The source of the login did not answer within {DEADLINE_S:.0f} s.")
    if isinstance(ended[0], BaseException):
        raise ended[0]
    return ended[0]
