"""The private keys of backups, and the opening of what was sealed to their public halves (`age`)."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, cast

import pyrage
from pyrage import x25519

from mlflow_backend.backup.streams import PieceReader
from mlflow_backend.contract import PlatformFailed, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from _typeshed import ReadableBuffer

    Write = Callable[[bytes], object]

_KEY_FIX = "Name a file that holds the private key, as `age-keygen` writes it"


def new_key() -> str:
    """Return a new private key."""
    return str(x25519.Identity.generate())


def public_key(private: str) -> str:
    """Return the public half of a private key. Raises UsageError for a text that is none."""
    return str(_identity(private).to_public())


def read_key(path: Path) -> str:
    """Return the private key in a file, in which lines that begin with # are comments.

    Raises UsageError if the file cannot be read or holds no private key.
    """
    try:
        lines = path.read_text(encoding="utf-8", errors="replace").split()
    except OSError as error:
        raise UsageError(
            f"cannot be read: {error.strerror}", code="recovery-key-unreadable", fix=_KEY_FIX, part=str(path)
        ) from None
    key = next((word for word in lines if word.startswith("AGE-SECRET-KEY-")), "")
    _identity(key)
    return key


def unseal(pieces: Iterable[bytes], write: Write, private_key: str, *, part: str) -> None:
    """Write what was sealed. Raises PlatformFailed, naming `part`, if this key does not open it or it was changed."""
    reader, writer = PieceReader(iter(pieces)), _Writer(write)
    try:
        pyrage.decrypt_io(
            cast("io.BufferedIOBase", reader), cast("io.BufferedIOBase", writer), [_identity(private_key)]
        )
    except (pyrage.DecryptError, OSError):
        # The library turns errors of the streams into its own, and its own into OSError in the middle of a stream.
        if (failure := reader.failure or writer.failure) is not None:
            raise failure from None
        raise PlatformFailed(
            "it cannot be opened with this key",
            code="backup-key-wrong",
            fix="Give the private key of backup.recoveryKey at that time; `verify --read` says whether it is whole",
            part=part,
        ) from None


def unseal_bytes(pieces: Iterable[bytes], private_key: str, *, part: str) -> bytes:
    """Return the content of a small sealed object. Raises as `unseal` does."""
    found = io.BytesIO()
    unseal(pieces, found.write, private_key, part=part)
    return found.getvalue()


def _identity(private: str) -> x25519.Identity:
    try:
        return x25519.Identity.from_str(private)
    except pyrage.IdentityError:
        raise UsageError("it is no private key of age", code="recovery-key-malformed", fix=_KEY_FIX) from None


class _Writer(io.RawIOBase):
    """A stream into a function."""

    def __init__(self, write: Write) -> None:
        self._write = write
        self.failure: Exception | None = None

    def writable(self) -> bool:
        return True

    def write(self, piece: ReadableBuffer, /) -> int:
        content = bytes(piece)
        try:
            self._write(content)
        except Exception as error:
            self.failure = error
            raise
        return len(content)
