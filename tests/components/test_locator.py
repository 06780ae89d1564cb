"""Locators: from an address to the backend, without the stack's file and without Pulumi."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from mlflow_backend import locator
from mlflow_backend.aws.store import S3Store
from mlflow_backend.contract import Refused, UsageError
from mlflow_backend.local.locator import LocalLocator
from mlflow_backend.local.state import StateDir
from mlflow_backend.releases.stores import FileStore
from tests.components.ecs.cloud import LOCATOR

if TYPE_CHECKING:
    from pathlib import Path


def test_a_backend_on_this_machine_is_found_by_its_folder(tmp_path: Path) -> None:
    """What was written at the end of an update is what is found."""
    state = StateDir(tmp_path / "try")
    written = LocalLocator.of(state)
    locator.write(written, FileStore(state.backend_store))
    assert locator.at(written.address) == written


@pytest.mark.parametrize("root", ["", "team/mlflow"])
def test_a_backend_on_aws_is_found_by_its_bucket(monkeypatch: pytest.MonkeyPatch, root: str) -> None:
    """With its root, where several share the bucket; with or without a slash at the end."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "x")
    written = LOCATOR.__class__(**{**vars(LOCATOR), "root": root})
    with mock_aws():
        s3 = boto3.client("s3", region_name="us-east-1")
        s3.create_bucket(Bucket=LOCATOR.bucket)
        locator.write(written, S3Store(s3, bucket=written.bucket, root=root))
        assert locator.at(written.address) == locator.at(f"{written.address}/") == written


@pytest.mark.parametrize("address", ["nowhere", "{tmp_path}", "ftp://x", ""])
def test_an_address_where_nothing_is_says_what_to_give(tmp_path: Path, address: str) -> None:
    """It is refused, and nothing is taken for a backend."""
    with pytest.raises(Refused, match="stack output `locator`"):
        locator.at(address.format(tmp_path=tmp_path))


@pytest.mark.parametrize(
    ("document", "key"),
    [
        ({}, "target"),
        ({"kind": "moon", "stack": "x"}, "moon"),
        ({"kind": "local", "stack": "x"}, "folder"),
        ({"kind": "local", "stack": "x", "folder": 1}, "folder"),
        ({"kind": "local", "stack": "x", "folder": "/x", "more": "y"}, "more"),
    ],
)
def test_a_document_that_is_no_locator_is_refused_by_its_key(document: dict[str, Any], key: str) -> None:
    """A state or a bucket that somebody edited is no reason for a traceback."""
    with pytest.raises(UsageError, match=key):
        locator.from_document(document)


@pytest.mark.parametrize("content", [b"", b"[]", b"{"])
def test_a_damaged_locator_is_refused(tmp_path: Path, content: bytes) -> None:
    """With what to do."""
    store = FileStore(tmp_path / "backend-store")
    store.replace(locator.LOCATOR, content)
    with pytest.raises(UsageError, match="Deploy the stack again"):
        locator.at(str(tmp_path))
