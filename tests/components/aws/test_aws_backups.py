"""A bucket as the destination of backups, on an emulated S3 that keeps conditions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import boto3
import pytest
from moto import mock_aws

from mlflow_backend.aws import backups
from mlflow_backend.aws.backups import BucketDestination
from mlflow_backend.backup import catalogue, prune
from mlflow_backend.backup.artifacts import content_key
from mlflow_backend.contract import PlatformFailed
from tests.components.backup.destinations import SHARED, identifier, kept

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "backups"
ROOT = "team/local"


@pytest.fixture
def destination(monkeypatch: pytest.MonkeyPatch) -> Iterator[BucketDestination]:
    """An empty bucket."""
    monkeypatch.setattr(backups, "_PART_BYTES", 5 * 1024 * 1024)
    with mock_aws():
        client = boto3.client("s3", region_name="us-east-1")
        client.create_bucket(Bucket=BUCKET)
        yield BucketDestination(client, bucket=BUCKET, root=ROOT)


def test_a_backup_is_kept_verified_and_pruned_as_in_a_folder(destination: BucketDestination) -> None:
    """The rules over a destination are one; the address names the bucket."""
    found = kept(destination, identifier(1), "a")
    assert [each.id for each in catalogue.read(destination).backups] == [identifier(1)]
    assert catalogue.damages(destination, found, read_all=True) == ()
    destination.replace(SHARED.content, b"sharex")
    assert [each.object for each in catalogue.damages(destination, found, read_all=True)] == [SHARED.path]
    assert list(prune.planned(destination, keep_days=1).plan.deleted) == []
    assert destination.name == f"s3://{BUCKET}/{ROOT}/"


@pytest.mark.parametrize("size", [0, 3, 5 * 1024 * 1024, 11 * 1024 * 1024], ids=["empty", "small", "whole", "parts"])
def test_an_object_of_any_size_is_written_once(destination: BucketDestination, size: int) -> None:
    """In one request or in parts; an equal one is shared, and one of another size fails by name."""
    first = destination.write(content_key, lambda write: write(b"x" * size))
    assert destination.size(first.key) == first.size_bytes == size
    assert destination.write(content_key, lambda write: write(b"x" * size)) == first
    destination.replace(first.key, b"other")
    with pytest.raises(PlatformFailed, match=first.sha256):
        destination.write(content_key, lambda write: write(b"x" * size))


def test_an_object_that_somebody_creates_meanwhile_is_not_overwritten(
    destination: BucketDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The condition is S3's own: looking first is not enough. No upload is left open."""
    for size in (3, 11 * 1024 * 1024):
        key = f"contents/{size}"
        destination.create(key, b"theirs")
        answers = iter([None, len(b"theirs")])
        with monkeypatch.context() as patch:
            patch.setattr(destination, "size", lambda _key, answers=answers: next(answers))
            with pytest.raises(PlatformFailed, match="6 bytes"):
                destination.write(key, lambda write, size=size: write(b"x" * size))
        assert destination.read([key]) == {key: b"theirs"}
    assert "Uploads" not in destination._client.list_multipart_uploads(Bucket=BUCKET)


def test_what_fills_an_object_and_fails_leaves_none(destination: BucketDestination) -> None:
    """An artifact that vanishes while it is read."""

    def fails(write: object) -> None:
        write(b"half")  # type: ignore[operator]
        raise FileNotFoundError

    with pytest.raises(FileNotFoundError):
        destination.write("contents/x", fails)
    assert destination.listing("contents") == ()
