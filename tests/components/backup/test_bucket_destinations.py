"""A bucket as the destination of backups: the same rows on an emulated S3 and on an emulated Cloud Storage.

Both keep conditions; that of Cloud Storage keeps roles too. What only one of them does is tried in tests of its own.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from mlflow_backend.aws import backups as aws
from mlflow_backend.backup import catalogue, prune
from mlflow_backend.backup.artifacts import content_key
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.gcp import backups as gcp
from mlflow_backend.gcp import uploads
from mlflow_backend.gcp.root import GcsRoot
from tests.components.backup.destinations import SHARED, identifier, kept
from tests.components.gcp.emulated_google import EmulatedGoogle
from tests.components.messages import raised

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BUCKET, ROOT = "backups", "team/dev"


@dataclass(frozen=True, kw_only=True)
class Emptied:
    """An empty bucket, and the size of an upload's pieces."""

    destination: Any
    piece: int
    name: str


@pytest.fixture(params=["s3", "gs"])
def bucket(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Emptied]:
    """Each cloud's; S3 takes no parts of less than 5 MiB."""
    name = f"{request.param}://{BUCKET}/{ROOT}/"
    if request.param == "gs":
        for module in (gcp, uploads):
            monkeypatch.setattr(module, "PIECE_BYTES", 1024)
        api = EmulatedGoogle()
        api.bucket(BUCKET)
        yield Emptied(destination=gcp.BucketDestination(api, GcsRoot(bucket=BUCKET, root=ROOT)), piece=1024, name=name)
        return
    piece = 5 * 1024 * 1024
    monkeypatch.setattr(aws, "_PART_BYTES", piece)
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        yield Emptied(destination=aws.BucketDestination(client, bucket=BUCKET, root=ROOT), piece=piece, name=name)
        assert "Uploads" not in client.list_multipart_uploads(Bucket=BUCKET), "an upload is left open"


def filling(content: bytes, step: int) -> Callable[[Any], object]:
    """Return what writes this content in steps of an odd size."""
    return lambda write: [write(content[start : start + step]) for start in range(0, len(content), step)]


def test_a_bucket_that_is_gone_is_named(bucket: Emptied) -> None:
    """It is not taken for one without backups, nor for one in which somebody else has just created the object."""
    gone: Any = copy.copy(bucket.destination)
    if isinstance(gone, aws.BucketDestination):
        gone._bucket = "gone"
    else:
        gone._root = GcsRoot(bucket="gone", root=ROOT)
    for asked in (lambda: catalogue.read(gone), lambda: gone.create("a", b"1")):
        with pytest.raises(PlatformFailed) as failed:
            asked()
        assert failed.value.code in {"s3-bucket-gone", "gcs-bucket-gone"}


def test_a_backup_is_kept_verified_and_pruned_as_in_a_folder(bucket: Emptied) -> None:
    """The rules over a destination are one; the address names the bucket."""
    destination = bucket.destination
    found = kept(destination, identifier(1), "a")
    assert [each.id for each in catalogue.read(destination).backups] == [identifier(1)]
    assert catalogue.damages(destination, found, read_all=True) == ()
    destination.replace(SHARED.content, b"sharex")
    assert [each.object for each in catalogue.damages(destination, found, read_all=True)] == [SHARED.path]
    assert list(prune.planned(destination, keep_days=1).plan.deleted) == []
    assert destination.name == bucket.name


@pytest.mark.parametrize(("pieces", "more"), [(0, 0), (0, 3), (1, 0), (1, 1), (3, 5)])
def test_an_object_of_any_size_is_written_once(bucket: Emptied, pieces: int, more: int) -> None:
    """In one request or in pieces; an equal one is shared, and one of another size fails by name."""
    destination, size = bucket.destination, pieces * bucket.piece + more
    fill = filling((bytes(range(251)) * (size // 251 + 1))[:size], bucket.piece * 2 // 3 + 1)
    first = destination.write(content_key, fill)
    assert destination.size(first.key) == first.size_bytes == size
    assert len(destination.read([first.key])[first.key]) == size
    assert destination.write(content_key, fill) == first
    named = destination.write("backups/x", fill)
    assert (named.sha256, named.size_bytes) == (first.sha256, size)
    destination.replace(first.key, b"other")
    with pytest.raises(PlatformFailed, match=first.sha256):
        destination.write(content_key, fill)


@pytest.mark.parametrize("pieces", [0, 2], ids=["small", "pieces"])
def test_an_object_that_somebody_creates_meanwhile_is_not_overwritten(bucket: Emptied, pieces: int) -> None:
    """The condition is the store's own: looking first is not enough."""
    key = "contents/x"

    def fill(write: Any) -> None:
        bucket.destination.create(key, b"theirs")
        write(b"x" * (pieces * bucket.piece + 3))

    with raised("backup-object-differs", "6 bytes", kind=PlatformFailed):
        bucket.destination.write(key, fill)
    assert bucket.destination.read([key]) == {key: b"theirs"}


def test_what_fills_an_object_and_fails_leaves_none(bucket: Emptied) -> None:
    """An artifact that vanishes while it is read, after pieces of it were sent."""

    def fails(write: Any) -> None:
        write(b"x" * 3 * bucket.piece)
        raise FileNotFoundError

    with pytest.raises(FileNotFoundError):
        bucket.destination.write("contents/x", fails)
    assert bucket.destination.listing("contents") == ()


def test_clearing_deletes_what_is_below_and_nothing_else(bucket: Emptied) -> None:
    """Dumps in plain go, and the ledger beside them stays."""
    for key in ("_backend/staging/1/tracking.dump", "_backend/staging/2", "_backend/ledger/1"):
        bucket.destination.create(key, b"x")
    bucket.destination.clear("_backend/staging")
    assert [key for key, _ in bucket.destination.items()] == ["_backend/ledger/1"]
