"""The life of a backend on EKS, with real MLflow: its cluster, RDS, ElastiCache and S3 made, and all of it gone again.

The stack is the shipped `eks` with one server. AWS is emulated, the cluster that it hands out is real, and pods get the
roles of their accounts by tokens that the cluster signed. The tests stand in the order of that life.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlflow_backend.contract import ExitCode
from mlflow_backend.eks.within import STORAGE_CLASS
from tests.engine.stack import nothing_changed
from tests.rig.kubernetes.eks_backend import EksRig, EksStack, cluster_name
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rig.kubernetes.cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def stack(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EksStack]:
    """The stack, not yet deployed, in an account without a cluster."""
    folder = tmp_path_factory.mktemp("eks")
    with EksRig(folder / "aws", cluster, cluster_name(), "mlflow") as rig:
        yield EksStack(folder / "stack", rig)


def test_a_preview_before_there_is_a_cluster_says_what_it_skips(stack: EksStack) -> None:
    """Nothing in the cluster can be looked at, and the whole plan is shown all the same."""
    preview = stack.pulumi("preview", "--stack", stack.name)
    assert preview.ok, preview.text
    assert f"{stack.rig.name} is not made yet" in preview.text, preview.text
    assert "kubernetes:apps/v1:Deployment" in preview.text, preview.text


def test_the_first_update_is_verified(stack: EksStack) -> None:
    """A green update means that MLflow works: on the cluster that it made, and with the stores that it made."""
    stack.must_up()
    outputs = stack.outputs()
    assert outputs["verification"]["verdict"] == "pass", outputs["verification"]["table"]
    stack.until_serving(str(outputs["release"]["revision"]), pods=1)
    assert len(stack.rig.aws.databases.running) == 1
    assert len(stack.rig.aws.caches.running) == 1


@pytest.mark.full
def test_an_update_without_changes_changes_nothing(stack: EksStack) -> None:
    """No pod is replaced, and nothing of AWS or of the cluster is touched."""
    before = stack.serving_pods()
    again = stack.must_up()
    assert nothing_changed(again.text), again.text
    assert stack.serving_pods() == before


@pytest.mark.full
def test_a_refreshing_preview_sees_no_difference(stack: EksStack) -> None:
    """What AWS and the cluster add by themselves is no drift."""
    preview = stack.pulumi("preview", "--refresh", "--diff", "--stack", stack.name)
    assert preview.ok, preview.text
    assert nothing_changed(preview.text), preview.text


@pytest.mark.full
def test_a_rollback_serves_the_release_before(stack: EksStack) -> None:
    """The new release is verified apart; the older one is SAFE, verified, and pinned until that is lifted."""
    first = str(stack.outputs()["release"]["revision"])
    stack.write_settings(server={"requestTimeout": 290})
    stack.must_up()
    second = str(stack.outputs()["release"]["revision"])
    assert second != first
    stack.until_serving(second, pods=1)
    done = stack.script("rollback", "--to", first, "--yes", "--reason", "a test")
    assert done.code == ExitCode.DONE, done.text
    stack.until_serving(first, pods=1)
    lifted = stack.script("rollback", "--unpin")
    assert lifted.code == ExitCode.DONE, lifted.text
    stack.must_up()
    stack.until_serving(second, pods=1)


def test_destroy_leaves_nothing(stack: EksStack) -> None:
    """Cluster, stores, bucket, roles and network go, each after what is in it."""
    rig = stack.rig
    gone = stack.destroy()
    assert gone.ok, gone.text
    assert rig.clusters == []
    assert not rig.aws.databases.running
    assert not rig.aws.caches.running
    assert rig.aws.client("s3").list_buckets()["Buckets"] == []
    assert rig.aws.client("iam").list_roles()["Roles"] == []
    assert [each for each in rig.aws.client("ec2").describe_vpcs()["Vpcs"] if not each["IsDefault"]] == []
    left = ("get", "namespaces,storageclasses", "-o", "name")
    until(
        lambda: {f"namespace/{rig.namespace}", f"storageclass.storage.k8s.io/{STORAGE_CLASS}"}.isdisjoint(
            rig.cluster.kubectl(*left).split()
        ),
        what="the end of the namespace and of the StorageClass",
        deadline_s=120,
    )
