"""The limit on different wrong passwords of a client in a minute, for one name and over all names.

Counted by name and address together: whoever guesses somebody's password from one address does not lock him out from
another. The same wrong password again is no new guess, so that a client with an old password is refused, and not
limited. Each process counts for itself, and, if there is a cache, all servers count together in it: whichever of the
two is over the limit counts, so that nothing depends on the cache.
"""

from __future__ import annotations

import hashlib
import hmac
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend_server.access.cache import Cache

WINDOW_S = 60.0
PER_NAME = 10
PER_ADDRESS = 50
_CAPACITY = 20_000
#: Of a keyed hash: long enough to distinguish the passwords of a minute.
_MARK_CHARACTERS = 16


class Guesses:
    """The wrong passwords of the last minute in this process, by who tried them."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without any."""
        self._clock = clock
        self._tried: OrderedDict[bytes, OrderedDict[bytes, float]] = OrderedDict()
        self._paused: OrderedDict[bytes, float] = OrderedDict()
        self._lock = threading.Lock()

    def seconds_to_wait(self, address: str, name: str | None = None) -> int:
        """Return 0 if another password may be tried, else the seconds until then; without a name, over all names."""
        with self._lock:
            key, now = _key(address, name), self._clock()
            until = self._paused.get(key, now)
            tried = self._current(key)
            if len(tried) >= _most(name):
                until = max(until, next(iter(tried.values())) + WINDOW_S)
            return int(until - now) + 1 if until > now else 0

    def pause(self, address: str, name: str | None, seconds: int) -> None:
        """Let no more be tried for so long, whatever was tried in this process."""
        with self._lock:
            key = _key(address, name)
            self._paused[key] = self._clock() + min(seconds, WINDOW_S)
            self._paused.move_to_end(key)
            while len(self._paused) > _CAPACITY:
                self._paused.popitem(last=False)

    def failed(self, address: str, name: str, fingerprint: bytes) -> None:
        """Count a wrong password, which `fingerprint` stands for."""
        with self._lock:
            for each in (name, None):
                key = _key(address, each)
                self._current(key)
                tried = self._tried.setdefault(key, OrderedDict())
                tried.setdefault(fingerprint, self._clock())
                # More than are counted need not be known.
                while len(tried) > _most(each):
                    tried.popitem(last=False)
                self._tried.move_to_end(key)
            while len(self._tried) > _CAPACITY:
                self._tried.popitem(last=False)

    def succeeded(self, address: str, name: str) -> None:
        """Forget the wrong passwords of who has found the right one."""
        with self._lock:
            self._tried.pop(_key(address, name), None)

    def _current(self, key: bytes) -> OrderedDict[bytes, float]:
        tried = self._tried.get(key)
        if tried is None:
            return OrderedDict()
        until = self._clock() - WINDOW_S
        while tried and next(iter(tried.values())) <= until:
            tried.popitem(last=False)
        if not tried:
            del self._tried[key]
        return tried


class SharedGuesses:
    """The wrong passwords of the last minute at all servers, as the cache has them; none while it is away.

    The cache holds marks of names and passwords under a key of the servers' own: whoever reads it learns neither.
    """

    def __init__(self, cache: Cache, secret: str, *, clock: Callable[[], float] = time.time) -> None:
        """Count in `cache`, with a `secret` that all servers of the backend have."""
        self._cache, self._clock = cache, clock
        self._secret = hmac.digest(secret.encode(), b"guesses", "sha256")

    def seconds_to_wait(self, address: str, name: str | None) -> int:
        """Return 0 if another password may be tried, else the seconds until then; without a name, over all names."""
        now = self._clock()
        key, since = self._counted(address, name), now - WINDOW_S
        tried = self._cache.run(
            lambda transaction: transaction.zcount(key, since, "+inf").zrange(key, -_most(name), -1, withscores=True)
        )
        if tried is None or tried[0] < _most(name):
            return 0
        (_, oldest), *_ = tried[1]
        return max(1, int(oldest + WINDOW_S - now) + 1)

    def failed(self, address: str, name: str, password: str) -> None:
        """Count a wrong password."""
        mark = self._mark(f"{len(name)}:{name}{password}")
        self._add(self._counted(address, name), mark, PER_NAME)
        self._add(self._counted(address, None), mark, PER_ADDRESS)

    def succeeded(self, address: str, name: str) -> None:
        """Forget the wrong passwords of who has found the right one."""
        self._cache.run(lambda transaction: transaction.delete(self._counted(address, name)))

    def _add(self, key: str, mark: str, most: int) -> None:
        now = self._clock()

        def queue(transaction: Any) -> None:
            transaction.zremrangebyscore(key, "-inf", now - WINDOW_S)
            transaction.zadd(key, {mark: now}, nx=True)
            # More than are counted need not be known.
            transaction.zremrangebyrank(key, 0, -1 - most)
            transaction.expire(key, int(WINDOW_S))

        self._cache.run(queue)

    def _counted(self, address: str, name: str | None) -> str:
        return self._cache.key("guesses", self._mark(address if name is None else f"{address} {name}"))

    def _mark(self, text: str) -> str:
        return hmac.new(self._secret, text.encode("utf-8", "surrogateescape"), "sha256").hexdigest()[:_MARK_CHARACTERS]


def _most(name: str | None) -> int:
    return PER_ADDRESS if name is None else PER_NAME


def _key(address: str, name: str | None) -> bytes:
    """Return what is counted; a hash, because a name may have thousands of characters."""
    text = address if name is None else f"{address} {name}"
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).digest()
