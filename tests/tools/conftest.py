"""Trees to set up, and programs for the real engine to run, for the tests of the toolchain."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from tests.tools.projects import ROOT, Project, lay_out_programs
from tools.bootstrap.layout import Layout

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture
def tree(tmp_path: Path) -> Layout:
    """A tree with this repository's pins and nothing set up, and a cache of its own."""
    root = tmp_path / "tree"
    (root / "tools" / "offline").mkdir(parents=True)
    for name in ("go.mod", "go.sum"):
        shutil.copy(ROOT / "tools" / "offline" / name, root / "tools" / "offline")
    shutil.copytree(ROOT / "requirements", root / "requirements")
    (root / "Pulumi.yaml").write_text("name: trial\nruntime: python\n")
    return Layout(root=root, cache=tmp_path / "cache")


@pytest.fixture
def program(tmp_path: Path) -> Callable[..., Path]:
    """Makes an executable shell script in a folder of its own."""

    def make(folder: str, name: str, body: str) -> Path:
        path = tmp_path / folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{body}\n")
        path.chmod(0o755)
        return path

    return make


@pytest.fixture
def no_programs(tmp_path: Path) -> dict[str, str]:
    """A person's environment, not a job's, in which no program is found."""
    (tmp_path / "empty").mkdir()
    kept = {name: value for name, value in os.environ.items() if name != "CI"}
    return {**kept, "PATH": str(tmp_path / "empty")}


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the CLI and this repository's language host."""
    folder = tmp_path_factory.mktemp("programs")
    lay_out_programs(folder)
    return folder


@pytest.fixture
def project(tmp_path: Path, programs: Path) -> Project:
    """An empty Pulumi program with a stack, under this repository's language host."""
    return Project(tmp_path / "project", programs)
