"""Commands that are killed in the middle on a real cluster, with real MLflow.

Users write all the while. The next command ends what was begun, leaves nothing of it, and loses no run that somebody
was told is written. The tests stand in the order of one life.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.contract import ExitCode
from mlflow_backend.deployed import DeployedBackend
from mlflow_backend.kubernetes.naming import VERIFY
from mlflow_backend.kubernetes.render.oneshot import DATABASE
from mlflow_backend.schema_tables import required_heads
from tests.rig.kubernetes.backend import ClusterStack, laid_out
from tests.rig.kubernetes.interruptions import assert_tidy, job_runs, kill_when, update_again
from tests.rig.kubernetes.load import Users
from tests.server import server_image

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rig.kubernetes.cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.full, pytest.mark.timeout(1200)]


class Life:
    """The stack, and the revisions that its tests keep for the ones after them."""

    def __init__(self, stack: ClusterStack) -> None:
        """Take it; nothing is deployed yet."""
        self.stack, self.first, self.second = stack, "", ""

    @property
    def revision(self) -> str:
        """The revision that the last update says it serves."""
        return str(self.stack.outputs()["release"]["revision"])


@pytest.fixture(scope="module")
def life(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """A stack of one server."""
    sections = {"server": {"replicas": 1}, "scaling": {"maxReplicas": 1}}
    with laid_out(tmp_path_factory.mktemp("interrupted") / "stack", cluster, "interrupted", **sections) as stack:
        yield Life(stack)


def test_an_update_killed_in_its_migration_is_ended_by_the_next(life: Life) -> None:
    """Its Job goes on alone: the next update ends it before it writes itself, and serves the schema of its version."""
    stack, heads = life.stack, required_heads(server_image.VERSION, auth=True)
    assert heads is not None
    kill_when(stack, stack.start_up(), lambda: job_runs(stack, DATABASE, "upgrade"), what="the migration's Job")
    update_again(stack)
    outputs = stack.outputs()
    assert outputs["release"]["schemaHead"] == heads.tracking
    assert outputs["verification"]["verdict"] == "pass", outputs["verification"]["table"]
    life.first = life.revision
    stack.until_serving(life.first, pods=1)


def test_an_update_killed_with_its_candidate_leaves_users_alone(life: Life) -> None:
    """Between candidate and promotion: the old pod serves, and the next update verifies a candidate of its own."""
    stack, before = life.stack, life.stack.serving_pods()
    stack.write_settings(server={"requestTimeout": 120})
    with Users(stack, "candidate") as users:
        verified = partial(job_runs, stack, VERIFY, "python")
        kill_when(stack, stack.start_up(), verified, what="a candidate that is verified")
        assert stack.has_candidate
        assert stack.serving_pods() == before
        update_again(stack)
    life.second = life.revision
    assert life.second != life.first
    stack.until_serving(life.second, pods=1)
    assert users.failed == []
    assert users.lost() == set()


def test_a_killed_rollback_is_ended_by_the_next_run(life: Life) -> None:
    """Killed while the pods are replaced: updates wait for it, and run again it serves and pins what was asked for."""
    stack = life.stack
    with Users(stack, "rollback") as users:
        command = stack.start_script("rollback", "--to", life.first, "--yes", "--reason", "a test")
        kill_when(stack, command, lambda: stack.platform.wanted() == life.first, what="the older pods")
        waiting = stack.up()
        assert not waiting.ok
        assert f"rollback to revision {life.first}" in waiting.text, waiting.text
        done = stack.script("rollback", "--yes")
    assert done.code == ExitCode.DONE, done.text
    stack.until_serving(life.first, pods=1)
    pin = DeployedBackend(stack.platform).ledger.state().pin
    assert pin is not None
    assert (pin.revision, pin.reason) == (life.first, "a test")
    assert_tidy(stack)
    assert users.failed == []
    assert users.lost() == set()
