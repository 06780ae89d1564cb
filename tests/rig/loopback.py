"""Addresses of a rig: a block of 127.0.0.0/8 that no other rig on this machine uses, and given out one by one.

In a network of its own a rig may have a block of others, to which somebody has made a route.
"""

from __future__ import annotations

import itertools
import random
import socket
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType
    from typing import Self

# Not 127.0 and 127.1, where people and systemd-resolved have servers of their own.
_BLOCKS = range(16, 250)
_LOCK_PORT = 9


class Block:
    """One A.B.0.0/16, held by a bound socket: a killed holder frees it, and nothing is left to clean up."""

    def __init__(self, first: int = 127, seconds: Sequence[int] = _BLOCKS) -> None:
        """Take a free block, of loopback if no other addresses are given."""
        self._held = socket.socket()
        for second in random.sample(seconds, len(seconds)):
            self._beginning = f"{first}.{second}"
            try:
                self._held.bind((f"{self._beginning}.255.254", _LOCK_PORT))
            except OSError:
                continue
            self._numbers = itertools.count(1)
            return
        raise RuntimeError("every block of addresses is taken")

    def address(self) -> str:
        """Return an address that was never given out."""
        third, fourth = divmod(next(self._numbers), 250)
        return f"{self._beginning}.{third}.{fourth + 1}"

    def __enter__(self) -> Self:
        """Hold it."""
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Give it back."""
        self._held.close()
