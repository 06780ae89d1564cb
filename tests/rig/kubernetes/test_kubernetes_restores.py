"""Backups restored onto a real cluster, with real MLflow: one of another machine's stack, from its folder alone."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.contract import ExitCode
from tests.rig import originals
from tests.rig.kubernetes.backend import ClusterStack, login_of
from tests.rig.kubernetes.contents import contents_of
from tests.rig.originals import ARTIFACT, KEY, PASSWORD, USER, WEIGHTS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.engine.project import Outcome
    from tests.rig.kubernetes.cluster import Cluster
    from tests.rig.originals import Original

pytestmark = [pytest.mark.slow, pytest.mark.full, pytest.mark.timeout(900)]


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    """A stack of this machine that was used, backed up into a folder, and lost."""
    return originals.make(tmp_path_factory.mktemp("original"))


@pytest.fixture(scope="module")
def stack(original: Original, cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterStack]:
    """A new stack on a cluster, verified and not used. The other one is gone before it is made."""
    del original
    sections: dict[str, dict[str, Any]] = {"server": {"replicas": 1}, "scaling": {"maxReplicas": 1}}
    with cluster.namespace("restores") as namespace:
        made = ClusterStack(
            tmp_path_factory.mktemp("restores") / "stack", cluster, namespace, stack="cluster", **sections
        )
        made.must_up()
        yield made


def restore(stack: ClusterStack, *arguments: str) -> Outcome:
    """Run the command."""
    return stack.script("backup", *arguments)


def test_another_machines_backup_restored_onto_a_cluster_is_the_backend(
    stack: ClusterStack, original: Original
) -> None:
    """By folder and key alone: clients cannot tell it from the original, and the next update is green."""
    refused = restore(stack, *original.options("restore", original.manifest.id))
    assert (refused.code, "--recovery-key" in refused.text) == (ExitCode.REFUSED, True), refused.text
    done = restore(stack, *original.opened("restore", original.manifest.id))
    assert done.ok, done.text
    assert stack.secrets["admin-password"] == original.administrator
    assert contents_of(stack.call) == original.data
    assert stack.ask(ARTIFACT).data == WEIGHTS
    assert stack.ask(f"api/2.0/mlflow/users/get?username={USER}", **login_of(USER, PASSWORD)).status == 200
    assert stack.platform.store.keys("_backend/staging") == ()
    assert stack.found("jobs") == set()
    known = (KEY.encode(), base64.b64encode(KEY.encode())[:-4])
    assert [each for each in known if each in stack.kubectl("get", "secrets", "-o", "json").encode()] == []
    stack.must_up()
    assert contents_of(stack.call) == original.data


def test_it_is_undone_by_command(stack: ClusterStack, original: Original) -> None:
    """The stack has its own databases, users and keys again; the artifacts stay."""
    undone = restore(stack, *original.options("restore", "--undo"))
    assert undone.ok, undone.text
    assert stack.secrets["admin-password"] != original.administrator
    assert contents_of(stack.call)["runs"] == {}
    assert not any("-before-" in name for name in stack.found("secrets"))
    stack.must_up()


def test_a_backend_that_is_used_is_not_replaced(stack: ClusterStack, original: Original) -> None:
    """Runs of verifications do not count; one of a user does."""
    planned = restore(stack, *original.opened("--dry-run", "--json", "restore", original.manifest.id))
    assert planned.ok, planned.text
    assert json.loads(planned.text[planned.text.index("{\n") :])["elsewhere"] is True
    stack.write_runs("mine", 1)
    refused = restore(stack, *original.opened("restore", original.manifest.id))
    assert (refused.code, "1 rows of runs" in refused.text) == (ExitCode.REFUSED, True), refused.text
    assert stack.read_runs("mine") == [0.0]
