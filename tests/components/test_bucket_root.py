"""A root in a bucket: what its address says, and which texts are none."""

from __future__ import annotations

import pytest

from mlflow_backend.aws.render.policies import S3Root
from mlflow_backend.gcp.root import GcsRoot


@pytest.mark.parametrize("cloud", [S3Root, GcsRoot])
@pytest.mark.parametrize(
    ("path", "below", "root", "part"),
    [
        ("", (), "", "artifacts"),
        ("/", (), "", "artifacts"),
        ("/team/ml/", (), "team/ml", "team/ml/artifacts"),
        ("/team", ("dev",), "team/dev", "team/dev/artifacts"),
        ("", ("dev",), "dev", "dev/artifacts"),
    ],
)
def test_a_root_is_read_from_its_address(
    cloud: type[S3Root | GcsRoot], path: str, below: tuple[str, ...], root: str, part: str
) -> None:
    """Slashes at its ends mean nothing, and a stack's own root is below one that several share."""
    found = cloud.at(f"{cloud.scheme}bucket{path}", *below)
    assert (found.bucket, found.root) == ("bucket", root)
    assert found.prefix("artifacts") == part
    assert found.address("artifacts") == f"{cloud.scheme}bucket/{part}"


@pytest.mark.parametrize(
    ("text", "of"),
    [
        ("s3://bucket", [S3Root]),
        ("s3://bucket/root", [S3Root]),
        ("gs://bucket/root", [GcsRoot]),
        ("s3://", []),
        ("gs:///root", []),
        ("/folder", []),
        ("kubernetes://cluster/namespace/name", []),
    ],
)
def test_an_address_is_of_one_cloud(text: str, of: list[type[S3Root | GcsRoot]]) -> None:
    """What names no bucket is somebody else's to read."""
    assert [cloud for cloud in (S3Root, GcsRoot) if cloud.is_address(text)] == of
