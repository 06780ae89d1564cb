"""Preflight under the real engine: a bad image fails the preview, and a good one is shown and pinned there."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.components.preflight.images import Store, registry
from tests.engine.project import PULUMI
from tests.tools.projects import Project

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

PROGRAM = """
import pulumi
from mlflow_backend.preflight.arguments import PreflightArgs
from mlflow_backend.preflight.provider import Preflight

made = Preflight("preflight", PreflightArgs(
    image="{image}", platform="linux/amd64", mlflow_version="3.17.2", drivers=("psycopg2",),
))
pulumi.export("pinned", made.pinnedImage)
"""


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    """A repository of a real registry on loopback."""
    with registry() as running:
        yield running


@pytest.fixture
def project(tmp_path: Path) -> Project:
    """A program that is not written yet."""
    return Project(tmp_path / "project", PULUMI.parent)


def _asks_for(project: Project, image: str) -> None:
    project.program(PROGRAM.format(image=image))


def test_an_image_for_another_cpu_fails_the_preview(project: Project, store: Store) -> None:
    """The pull request is red too: a real deployment failed with `exec format error` only when its tasks ran."""
    store.image("arm", architecture="arm64")
    _asks_for(project, f"{store.host}/mlflow:arm")
    code, said = project.run("preview")
    assert code != 0
    assert "server.image" in said
    assert "exec format error" in said
    assert "--platform linux/amd64" in said


def test_a_good_image_is_pinned_in_the_preview_and_a_moved_tag_is_a_change(project: Project, store: Store) -> None:
    """The digest that a preview shows is the one that the update runs; the tag may be pushed over in between."""
    first = store.image("good")
    _asks_for(project, f"{store.host}/mlflow:good")
    said = project.must("preview", "--diff")
    assert f"{store.host}/mlflow@{first}" in said
    assert "image platform" in said, "each check is shown"
    project.must("up", "--yes", "--skip-preview")
    assert "2 unchanged" in project.must("preview")
    second = store.image("good", user="10002")
    assert second != first
    assert second in project.must("preview", "--diff")
    project.must("destroy", "--yes", "--skip-preview")
