"""Dumps in a folder of this machine, written and read as streams: those of a backend whose own store is a folder.

A file is there completely or not at all, and survives a power cut once its writer's block has ended.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote

from mlflow_backend_server.db.verdicts import ExitCode, ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

READ_BYTES = 1024 * 1024
_PRIVATE_FOLDER = 0o700


@dataclass(frozen=True, kw_only=True)
class FolderStore:
    """A folder, which is made with its first file (objects.Store). Only its owner can read what is in it."""

    folder: Path

    @classmethod
    def at(cls, path: str) -> FolderStore:
        """Return the folder that the path of a `file:` address names."""
        return cls(folder=Path(unquote(path)))

    @contextmanager
    def writing(self, name: str) -> Iterator[Callable[[bytes], None]]:
        """Append to a file of another name, which gets its own when the block ends and is removed when it fails."""
        path = self.folder / name
        with _explained(path):
            self.folder.mkdir(mode=_PRIVATE_FOLDER, parents=True, exist_ok=True)
            descriptor, temporary = tempfile.mkstemp(dir=self.folder, prefix=f".{name}.")
        try:
            # Without a buffer of its own, nothing is written outside of the calls whose errors are explained.
            with os.fdopen(descriptor, "wb", buffering=0) as stream:

                def write(piece: bytes) -> None:
                    rest = memoryview(piece)
                    with _explained(path):
                        while rest:
                            rest = rest[stream.write(rest) :]

                yield write
                with _explained(path):
                    os.fsync(stream.fileno())
            with _explained(path):
                Path(temporary).rename(path)
                _settle(self.folder)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise

    def reading(self, name: str) -> Iterator[bytes]:
        """Yield the file's bytes in pieces."""
        path = self.folder / name
        with _explained(path):
            stream = path.open("rb")
        with stream:
            while True:
                with _explained(path):
                    piece = stream.read(READ_BYTES)
                if not piece:
                    return
                yield piece


def _settle(folder: Path) -> None:
    """Make the folder's entries survive a power cut."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


@contextmanager
def _explained(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        cause = error.strerror or type(error).__name__
        fix = "Make its folder readable and writable for this user, with space left."
        raise ToolError(ExitCode.UNREACHABLE, f"{path} cannot be used: {cause}.", fix) from error
