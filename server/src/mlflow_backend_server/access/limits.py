"""The limit on a key's requests in a minute, counted in the cache for all servers together."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from mlflow_backend_server.access.cache import Cache

_WINDOW_S = 60


class RateLimit:
    """A limit for each key. While the cache is away nobody is limited: the limit protects capacity, not secrets."""

    def __init__(self, cache: Cache, per_minute: int) -> None:
        """Count in `cache`."""
        self._cache, self._per_minute = cache, per_minute

    def seconds_to_wait(self, name: str) -> int:
        """Count one request of the named key; return 0 when it may pass, else the seconds until the next window."""
        now = time.time()
        window = int(now // _WINDOW_S)
        key = self._cache.key("rate", f"{name}:{window}")
        answers = self._cache.run(lambda transaction: transaction.incr(key).expire(key, 2 * _WINDOW_S))
        if answers is None or int(answers[0]) <= self._per_minute:
            return 0
        return max(1, int((window + 1) * _WINDOW_S - now))
