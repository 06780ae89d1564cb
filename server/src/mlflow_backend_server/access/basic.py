"""A cache in front of MLflow's basic auth, which otherwise hashes the password anew for every request (180 ms).

Works on the store object that every MLflow version has, so it serves those without a cache of their own too. Only
successes are kept, under a keyed hash of the password, for seconds; whatever changes a user in this process forgets
him at once, and in the others after that time.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import secrets
import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_CAPACITY = 10_000
_CHANGES = ("update_user", "delete_user")


class Remembered:
    """Values that are forgotten after some seconds; at most _CAPACITY of them."""

    def __init__(self, seconds: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Start empty."""
        self._seconds, self._clock = seconds, clock
        self._values: OrderedDict[Any, tuple[float, Any]] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Any) -> Any:
        """Return the value, None when there is none or it is too old."""
        with self._lock:
            kept = self._values.get(key)
            if kept is None or self._clock() - kept[0] >= self._seconds:
                return None
            return kept[1]

    def put(self, key: Any, value: Any) -> None:
        """Keep a value, pushing out the oldest where there are too many."""
        with self._lock:
            self._values[key] = (self._clock(), value)
            self._values.move_to_end(key)
            while len(self._values) > _CAPACITY:
                self._values.popitem(last=False)

    def clear(self) -> None:
        """Forget everything."""
        with self._lock:
            self._values.clear()


def remember(store: Any, *, seconds: int) -> None:
    """Make `store` (mlflow.server.auth's) remember who was authenticated and who is who for `seconds`."""
    if seconds == 0:
        return
    key = secrets.token_bytes(32)
    verdicts, users = Remembered(seconds), Remembered(seconds)
    authenticate, get_user = store.authenticate_user, store.get_user

    @functools.wraps(authenticate)
    def authenticate_user(username: str, password: str, **options: Any) -> bool:
        text = f"{len(username)}:{username}{password}".encode("utf-8", "surrogateescape")
        print_of = hmac.new(key, text, hashlib.sha256).digest()
        if verdicts.get(print_of):
            return True
        valid = bool(authenticate(username, password, **options))
        if valid:
            verdicts.put(print_of, value=True)
        return valid

    @functools.wraps(get_user)
    def known_user(username: str) -> Any:
        user = users.get(username)
        if user is None:
            user = get_user(username)
            users.put(username, user)
        return user

    def forgetting(change: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(change)
        def changed(*arguments: Any, **options: Any) -> Any:
            try:
                return change(*arguments, **options)
            finally:
                verdicts.clear()
                users.clear()

        return changed

    store.authenticate_user, store.get_user = authenticate_user, known_user
    for name in _CHANGES:
        setattr(store, name, forgetting(getattr(store, name)))
