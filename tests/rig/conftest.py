"""Fixtures of the rig. Where containers cannot run, its tests are skipped, and say why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rig import processes
from tests.rig.aws.rig import AwsRig
from tests.rig.clock import SERVERS, TINY

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def containers() -> None:
    """Skip where this machine cannot run containers."""
    if why := processes.missing():
        pytest.skip(f"the rig runs containers in namespaces of their own: {why}")


@pytest.fixture(scope="module")
def rig(containers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsRig]:
    """Emulated AWS for containers that start at once, empty at a module's beginning."""
    with AwsRig(tmp_path_factory.mktemp("rig"), TINY) as made:
        yield made


@pytest.fixture(scope="module")
def server_rig(containers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[AwsRig]:
    """Emulated AWS for real MLflow servers, empty at a module's beginning."""
    with AwsRig(tmp_path_factory.mktemp("rig"), SERVERS) as made:
        yield made
