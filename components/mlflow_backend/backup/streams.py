"""A stream over pieces of bytes, for libraries that read files."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from _typeshed import WriteableBuffer


class PieceReader(io.RawIOBase):
    """Pieces as a raw stream; `failure` is what reading them raised, if a library hides it."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        """Take the pieces; nothing is read yet."""
        self._pieces, self._rest = pieces, memoryview(b"")
        self.failure: Exception | None = None

    def readable(self) -> bool:
        """Return that it can be read."""
        return True

    def readinto(self, buffer: WriteableBuffer, /) -> int:
        """Fill the buffer as far as one piece goes."""
        try:
            while not self._rest:
                self._rest = memoryview(next(self._pieces))
        except StopIteration:
            return 0
        except Exception as error:
            self.failure = error
            raise
        wanted = memoryview(buffer)
        count = min(len(wanted), len(self._rest))
        wanted[:count] = self._rest[:count]
        self._rest = self._rest[count:]
        return count
