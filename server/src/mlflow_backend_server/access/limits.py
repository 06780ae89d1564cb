"""How many requests a key may make in a minute, counted in Redis for all servers together."""

from __future__ import annotations

import importlib
import logging
import time
from typing import Any

_logger = logging.getLogger(__name__)
_WINDOW_S = 60
_TIMEOUT_S = 0.25
#: After a failure Redis is not asked again for so long, so that a dead one does not cost every request its timeout.
_REST_S = 5.0


class RateLimit:
    """A limit for each key. While Redis is away nobody is limited: the limit protects capacity, not secrets."""

    def __init__(self, url: str, per_minute: int) -> None:
        """Make the client; it connects when first used."""
        redis = importlib.import_module("redis")
        self._client: Any = redis.Redis.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)
        self._error: type[Exception] = redis.RedisError
        self._per_minute = per_minute
        self._resting_until = 0.0

    def seconds_to_wait(self, name: str) -> int:
        """Count one request of the named key; return 0 when it may pass, else the seconds until the next window."""
        if time.monotonic() < self._resting_until:
            return 0
        now = time.time()
        window = int(now // _WINDOW_S)
        place = f"mlflow-backend:rate:{name}:{window}"
        try:
            pipe = self._client.pipeline(transaction=False)
            pipe.incr(place)
            pipe.expire(place, 2 * _WINDOW_S)
            count = int(pipe.execute()[0])
        except self._error as error:
            self._resting_until = time.monotonic() + _REST_S
            _logger.warning("Requests are not limited for %s s: Redis said %s.", _REST_S, type(error).__name__)
            return 0
        return 0 if count <= self._per_minute else max(1, int((window + 1) * _WINDOW_S - now))
