"""The client of the cache (Redis or Valkey) in which all servers of a backend count together."""

from __future__ import annotations

import hashlib
import importlib
import logging
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_logger = logging.getLogger(__name__)
_TIMEOUT_S = 0.25
#: After a failure the cache is not asked again for so long, so that a dead one does not cost every request its timeout.
_REST_S = 5.0
_NAMESPACE_CHARACTERS = 12


class Cache:
    """The cache, which may be away at any time: whoever counts in it says what holds meanwhile."""

    def __init__(self, url: str, backend: str) -> None:
        """Make the client; it connects when first used. `backend` keeps apart those that share one cache."""
        redis = importlib.import_module("redis")
        self._client: Any = redis.Redis.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)
        self._errors: tuple[type[Exception], ...] = (redis.RedisError, OSError)
        self._namespace = hashlib.sha256(backend.encode()).hexdigest()[:_NAMESPACE_CHARACTERS]
        self._resting_until = 0.0

    def key(self, kind: str, name: str) -> str:
        """Return the cache's key for what this backend counts."""
        return f"mlflow-backend:{self._namespace}:{kind}:{name}"

    def run(self, queue: Callable[[Any], object]) -> list[Any] | None:
        """Run what `queue` puts into a transaction, and return the answers; None while the cache is away."""
        if time.monotonic() < self._resting_until:
            return None
        try:
            with self._client.pipeline() as transaction:
                queue(transaction)
                return list(transaction.execute())
        except self._errors as error:
            self._resting_until = time.monotonic() + _REST_S
            _logger.warning("The cache is not asked for %s s: it failed with %s.", _REST_S, type(error).__name__)
            return None
