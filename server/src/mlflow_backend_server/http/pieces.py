"""Sizes of the pieces in which an answer is sent. Pure.

Old versions of MLflow give an artifact line by line: a binary file comes in pieces of some 256 bytes, each of which
would be sent, counted and waited for by itself.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PIECE_BYTES = 128 * 1024
#: Each event of such an answer is wanted when it happens.
_LIVE = ("text/event-stream",)


def least_bytes(kind: str) -> int:
    """Return how long each piece of an answer of this content type is at least, but for the last."""
    return 1 if kind.lower().startswith(_LIVE) else PIECE_BYTES


def gathered(body: Iterable[bytes], least: int) -> Iterator[bytes]:
    """Give the body in pieces of at least so many bytes, but for the last; none is empty."""
    taken: list[bytes] = []
    size = 0
    for piece in body:
        taken.append(piece)
        size += len(piece)
        if size >= least:
            yield b"".join(taken)
            taken, size = [], 0
    if size:
        yield b"".join(taken)
