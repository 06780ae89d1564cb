"""What the tests of the workflows' scripts share."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from tests.scripts.ci.github import TOKEN, GitHub

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def github() -> Iterator[GitHub]:
    """GitHub on loopback, with an empty pull request."""
    with GitHub() as started:
        yield started


@pytest.fixture
def surroundings(github: GitHub, tmp_path: Path) -> dict[str, str]:
    """The environment that a step of a workflow on pull request 7 has."""
    return {
        **{name: value for name, value in os.environ.items() if not name.startswith(("GITHUB_", "PULUMI_"))},
        "GITHUB_API_URL": github.api,
        "GITHUB_SERVER_URL": "https://github.example",
        "GITHUB_REPOSITORY": "team/backend",
        "GITHUB_RUN_ID": "99",
        "GITHUB_SHA": "c0ffee",
        "GITHUB_TOKEN": TOKEN,
        "GITHUB_OUTPUT": str(tmp_path / "output"),
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "PULL_REQUEST": "7",
        "MLFLOW_BACKEND_STATE": f"file://{tmp_path}",
    }
