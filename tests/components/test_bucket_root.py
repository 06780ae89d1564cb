"""A root in a bucket: what its address says, and which texts are none."""

from __future__ import annotations

import pytest

from mlflow_backend.aws.render.policies import Store as Amazon
from mlflow_backend.gcp.root import Store as Google


@pytest.mark.parametrize("cloud", [Amazon, Google])
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
    cloud: type[Amazon | Google], path: str, below: tuple[str, ...], root: str, part: str
) -> None:
    """Slashes at its ends mean nothing, and a stack's own root is below one that several share."""
    found = cloud.at(f"{cloud.scheme}bucket{path}", *below)
    assert (found.bucket, found.root) == ("bucket", root)
    assert found.prefix("artifacts") == part
    assert found.address("artifacts") == f"{cloud.scheme}bucket/{part}"


@pytest.mark.parametrize(
    ("text", "of"),
    [
        ("s3://bucket", [Amazon]),
        ("s3://bucket/root", [Amazon]),
        ("gs://bucket/root", [Google]),
        ("s3://", []),
        ("gs:///root", []),
        ("/folder", []),
        ("kubernetes://cluster/namespace/name", []),
    ],
)
def test_an_address_is_of_one_cloud(text: str, of: list[type[Amazon | Google]]) -> None:
    """What names no bucket is somebody else's to read."""
    assert [cloud for cloud in (Amazon, Google) if cloud.is_address(text)] == of
