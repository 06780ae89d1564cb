"""What Cloud Storage alone does as the destination of backups, on an emulated one that keeps conditions and roles.

The rows of every bucket are in tests/components/backup/test_bucket_destinations.py.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.backup.artifacts import content_key
from mlflow_backend.backup.objects import ObjectArtifacts
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.gcp import backups, uploads
from mlflow_backend.gcp.api import Answer
from mlflow_backend.gcp.backups import BucketDestination
from mlflow_backend.gcp.root import GcsRoot
from mlflow_backend.identity import OBJECT
from tests.components.gcp.emulated_google import EmulatedGoogle
from tests.components.messages import raised

if TYPE_CHECKING:
    from collections.abc import Callable

PIECE = 1024
ROOT = GcsRoot(bucket="backups", root="team/gcp")


@pytest.fixture
def api(monkeypatch: pytest.MonkeyPatch) -> EmulatedGoogle:
    """A project with an empty bucket; an upload of more than 1 KiB goes in pieces."""
    for module in (backups, uploads):
        monkeypatch.setattr(module, "PIECE_BYTES", PIECE)
    made = EmulatedGoogle()
    made.bucket(ROOT.bucket)
    return made


@pytest.fixture
def destination(api: EmulatedGoogle) -> BucketDestination:
    """The bucket."""
    return BucketDestination(api, ROOT)


def filling(content: bytes) -> Callable[[Any], object]:
    """Return what writes this content, in pieces of an odd size."""
    return lambda write: [write(content[start : start + 700]) for start in range(0, len(content), 700)]


def test_a_content_is_never_kept_under_the_checksum_of_another(destination: BucketDestination) -> None:
    """A large one is read twice. If it was changed between, it is read anew; if it always is, the backup fails."""
    readings = iter([b"a", b"b", b"c", b"c"])
    written = destination.write(content_key, lambda write: write(next(readings) * 2 * PIECE))
    assert destination.read([written.key]) == {written.key: b"c" * 2 * PIECE}
    letters = (bytes([number]) for number in range(256))
    with raised("backup-content-changing", "contents/", kind=PlatformFailed):
        destination.write(content_key, lambda write: write(next(letters) * 2 * PIECE))
    assert len(destination.listing("contents")) == 1


def test_an_upload_goes_on_after_google_was_away(api: EmulatedGoogle, destination: BucketDestination) -> None:
    """A piece is sent again, and so is the whole of a small one."""
    for size in (3, 3 * PIECE):
        api.refusals = [503, 429]
        found = destination.write(f"contents/{size}", filling(b"x" * size))
        assert destination.size(found.key) == size
    api.refusals = [403]
    with raised("gcs-upload-failed", "gs://backups/team/gcp/contents/y", kind=PlatformFailed):
        destination.write("contents/y", filling(b"x"))


def test_google_may_keep_less_of_a_piece_than_it_was_sent(
    api: EmulatedGoogle, destination: BucketDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest of it is sent once more; nothing at all, each time, is a failure."""
    answered = EmulatedGoogle._once

    def half(self: EmulatedGoogle, method: str, url: str, content: bytes | None, more: dict[str, str]) -> Any:
        span = more.get("Content-Range", "")
        if method != "PUT" or not span.endswith("/*") or content is None or len(content) == 1:
            return answered(self, method, url, content, more)
        begin = int(span.removeprefix("bytes ").partition("-")[0])
        size = len(content) // 2
        return answered(self, method, url, content[:size], {"Content-Range": f"bytes {begin}-{begin + size - 1}/*"})

    content = bytes(number % 251 for number in range(2 * 8 + 3))
    for module in (backups, uploads):
        monkeypatch.setattr(module, "PIECE_BYTES", 8)
    with monkeypatch.context() as patch:
        patch.setattr(EmulatedGoogle, "_once", half)
        assert destination.write("contents/x", filling(content)).size_bytes == len(content)
    assert destination.read(["contents/x"]) == {"contents/x": content}

    def none(self: EmulatedGoogle, method: str, url: str, content: bytes | None, more: dict[str, str]) -> Any:
        if method == "PUT":
            return Answer(status=308, headers={}, content=b"")
        return answered(self, method, url, content, more)

    monkeypatch.setattr(EmulatedGoogle, "_once", none)
    with raised("gcs-upload-failed", "contents/y", kind=PlatformFailed):
        destination.write("contents/y", filling(content))


def test_artifacts_are_listed_read_and_created_below_their_root(api: EmulatedGoogle) -> None:
    """The store's identity is no artifact, and a file that was deleted meanwhile is known by its error."""
    own = BucketDestination(api, GcsRoot(bucket=ROOT.bucket))
    artifacts = ObjectArtifacts(BucketDestination(api, GcsRoot(bucket=ROOT.bucket, root="r/artifacts")))
    for key in (f"r/artifacts/{OBJECT}", "r/artifacts/1/folder/", "r/other", "r/artifacts/1/a.txt"):
        own.create(key, b"x")
    artifacts.create("1/b.txt", iter([b"one", b"two"]), size_bytes=6)
    listed = {each.path: each for each in artifacts.listing()}
    assert {path: each.size_bytes for path, each in listed.items()} == {"1/a.txt": 1, "1/b.txt": 6}
    own.replace("r/artifacts/1/a.txt", b"y")
    assert listed["1/a.txt"] not in list(artifacts.listing())
    assert b"".join(artifacts.reading("1/b.txt")) == b"onetwo"
    with pytest.raises(FileNotFoundError):
        list(artifacts.reading("1/gone"))
