"""The artifacts of a backend whose store is a bucket, as a backup reads them and a restore writes them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.identity import OBJECT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mlflow_backend.backup.artifacts import StoredFile
    from mlflow_backend.backup.destination import Destination

    class Bucket(Destination, Protocol):
        """The objects below a root; each method raises PlatformFailed if the store fails."""

        def files(self) -> Iterable[StoredFile]:
            """Give every object, with a stamp that changes with its content."""


class ObjectArtifacts:
    """See backup.source.Artifacts."""

    def __init__(self, objects: Bucket) -> None:
        """Take the artifacts' root; nothing is asked yet."""
        self._objects = objects

    def listing(self) -> Iterator[StoredFile]:
        """Give every file but the store's identity, and but the empty objects that stand for folders."""
        for file in self._objects.files():
            if file.path != OBJECT and not file.path.endswith("/"):
                yield file

    def reading(self, path: str) -> Iterator[bytes]:
        """Read the object."""
        try:
            yield from self._objects.chunks(path)
        except PlatformFailed:
            if self._objects.size(path) is not None:
                raise
            raise FileNotFoundError(path) from None

    def create(self, path: str, pieces: Iterator[bytes], *, size_bytes: int) -> None:
        """Create the object; one that is there stays as it is, and fails the call if it has another size."""
        # An upload in parts does not say it before.
        del size_bytes
        self._objects.write(path, lambda write: [write(piece) for piece in pieces])
