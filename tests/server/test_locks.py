"""The locks of the server's environments: complete, hashed, and of no particular index."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from mlflow_backend import environments
from scripts import lock_server
from tests.server.services import PROJECT

if TYPE_CHECKING:
    from pathlib import Path

LOCKS = sorted((PROJECT / "server" / "requirements").glob("*.txt"))


def test_every_locked_version_has_its_file_and_no_other() -> None:
    """What a stack may ask for is what the script lists."""
    assert {lock.stem for lock in LOCKS} == set(lock_server.VERSIONS)


@pytest.mark.parametrize("lock", LOCKS, ids=lambda lock: lock.stem)
def test_a_lock_is_hashed_and_names_no_index(lock: Path) -> None:
    """Each package is pinned with hashes; what a server needs is in it, and what it never imports is not."""
    text = lock.read_text()
    assert "://" not in text
    pinned = dict(re.findall(r"^([a-z0-9._-]+)==([^ ;\\]+)", text, re.MULTILINE))
    entries = re.split(r"^(?=[a-z0-9._-]+==)", text, flags=re.MULTILINE)[1:]
    assert all("--hash=sha256:" in entry for entry in entries)
    assert pinned["mlflow"] == lock.stem
    assert {"psycopg2-binary", "boto3", "redis", "uvloop", "httptools", "prometheus-client"} <= set(pinned)
    assert not {"pyarrow", "scikit-learn", "scipy", "matplotlib"} & set(pinned)


@pytest.mark.parametrize(
    ("version", "repairs"),
    [
        ("2.9.2", {"sqlalchemy<2.1", "setuptools<81"}),
        ("2.22.5", {"sqlalchemy<2.1"}),
        ("3.10.1", set()),
        ("3.17.2", set()),
    ],
)
def test_old_versions_are_repaired(version: str, repairs: set[str]) -> None:
    """An old MLflow gets the old libraries that it needs and does not ask for."""
    assert set(environments.requirements(version)) == {f"mlflow=={version}", *repairs}
