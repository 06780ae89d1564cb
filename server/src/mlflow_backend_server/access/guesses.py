"""How many different wrong passwords a client may try in a minute, for one name and over all names.

Counted in this process alone, by name and address together: whoever guesses somebody's password from one address does
not lock him out from another. The same wrong password again is no new guess, so that a client with an old password is
refused, and not limited.
"""

from __future__ import annotations

import threading
import time
from collections import OrderedDict
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

WINDOW_S = 60.0
PER_NAME = 10
PER_ADDRESS = 50
_CAPACITY = 20_000


class Guesses:
    """The wrong passwords of the last minute, by who tried them."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Start without any."""
        self._clock = clock
        self._tried: OrderedDict[tuple[str, ...], OrderedDict[bytes, float]] = OrderedDict()
        self._lock = threading.Lock()

    def seconds_to_wait(self, address: str, name: str | None = None) -> int:
        """Return 0 if another password may be tried, else the seconds until then; without a name, over all names."""
        with self._lock:
            tried = self._current(_key(address, name))
            if len(tried) < (PER_ADDRESS if name is None else PER_NAME):
                return 0
            oldest = next(iter(tried.values()))
            return max(1, int(oldest + WINDOW_S - self._clock()) + 1)

    def failed(self, address: str, name: str, fingerprint: bytes) -> None:
        """Count a wrong password, which `fingerprint` stands for."""
        with self._lock:
            for key in (_key(address, name), _key(address, None)):
                self._current(key)
                tried = self._tried.setdefault(key, OrderedDict())
                tried.setdefault(fingerprint, self._clock())
                # More than are counted need not be known.
                while len(tried) > PER_ADDRESS:
                    tried.popitem(last=False)
                self._tried.move_to_end(key)
            while len(self._tried) > _CAPACITY:
                self._tried.popitem(last=False)

    def succeeded(self, address: str, name: str) -> None:
        """Forget the wrong passwords of who has found the right one."""
        with self._lock:
            self._tried.pop(_key(address, name), None)

    def _current(self, key: tuple[str, ...]) -> OrderedDict[bytes, float]:
        tried = self._tried.get(key)
        if tried is None:
            return OrderedDict()
        until = self._clock() - WINDOW_S
        while tried and next(iter(tried.values())) <= until:
            tried.popitem(last=False)
        if not tried:
            del self._tried[key]
        return tried


def _key(address: str, name: str | None) -> tuple[str, ...]:
    return (address,) if name is None else (address, name)
