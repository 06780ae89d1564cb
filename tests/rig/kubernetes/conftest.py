"""Fixtures of the rig's Kubernetes cluster. Where it cannot run, its tests are skipped, and say why."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.rig.kubernetes import prepared
from tests.rig.kubernetes.cluster import Cluster

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture(scope="session")
def running_cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """One cluster for the files of a worker of xdist; each worker has its own."""
    if why := prepared.why_not():
        pytest.skip(f"the rig's cluster runs in namespaces of its own: {why}")
    with Cluster(tmp_path_factory.mktemp("kubernetes")) as made:
        yield made


@pytest.fixture(scope="module")
def cluster(running_cluster: Cluster) -> Iterator[Cluster]:
    """The cluster, with this thread in its network: what a module's tests start is there too."""
    with running_cluster.entered():
        yield running_cluster
