"""The server package in a folder of its own: named by its content, complete or not there."""

from __future__ import annotations

import re
import shutil
from importlib.metadata import Distribution
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.local import package

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A copy of the package's source, and a cache of its own."""
    copy = tmp_path / "server"
    shutil.copytree(package.SERVER, copy, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(package, "SERVER", copy)
    monkeypatch.setattr(package, "cache_folder", lambda part: tmp_path / part)
    package.locate.cache_clear()
    yield copy
    package.locate.cache_clear()


def test_an_installed_package_has_the_plugins_entry_point(source: Path) -> None:
    """MLflow finds the plugin by PYTHONPATH alone, and a second install is free."""
    del source
    installed = package.install()
    (found,) = Distribution.discover(path=[str(installed.path)])
    assert [(point.group, point.name) for point in found.entry_points] == [("mlflow.app", "mlflow-backend")]
    when = installed.path.stat().st_mtime_ns
    assert package.install() == installed
    assert installed.path.stat().st_mtime_ns == when


def test_other_content_is_another_folder(source: Path) -> None:
    """A changed plugin never changes the folder that a serving revision imports from; compiled files change nothing."""
    before = package.locate()
    (source / "src" / "mlflow_backend_server" / "plugin.pyc").write_bytes(b"compiled")
    package.locate.cache_clear()
    assert package.locate() == before
    with (source / "src" / "mlflow_backend_server" / "plugin.py").open("a") as file:
        file.write("# changed\n")
    package.locate.cache_clear()
    assert package.locate().path != before.path


def test_a_failed_install_leaves_nothing_and_says_why(source: Path) -> None:
    """A half-installed package is never taken for a whole one."""
    (source / "pyproject.toml").write_text("[project]\n")
    with pytest.raises(PlatformFailed, match="could not be installed"):
        package.install()
    assert not package.locate().installed
    assert [path.name for path in package.locate().path.parent.iterdir() if path.is_dir()] == []


def test_the_build_backend_is_that_of_its_lock(source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Building runs the backend's code: one that is not of the locked hash is refused."""
    lock = tmp_path / "build.txt"
    lock.write_text(re.sub(r"sha256:[0-9a-f]{8}", "sha256:00000000", package._BUILD_LOCK.read_text()))
    monkeypatch.setattr(package, "_BUILD_LOCK", lock)
    # uv keeps what it built before, and asks nobody then.
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "uv"))
    with pytest.raises(PlatformFailed, match=r"(?is)hash"):
        package.install()
    assert not package.locate().installed
