"""Commands that are killed in the middle on a real cluster, with real MLflow.

Users write all the while. The next command ends what was begun, leaves nothing of it, and loses no run that somebody
was told is written. The tests stand in the order of one life.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlflow_backend.contract import ExitCode
from mlflow_backend.deployed import DeployedBackend
from mlflow_backend.kubernetes.naming import VERIFY
from mlflow_backend.kubernetes.render.oneshot import DATABASE
from mlflow_backend.schema_tables import required_heads
from tests.rig.kubernetes.backend import ClusterStack, laid_out
from tests.rig.kubernetes.load import Users
from tests.server import server_image
from tests.server.services import until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from tests.rig.kubernetes.cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.full, pytest.mark.timeout(1200)]

_SOON_S = 400


class Life:
    """The stack, and the revisions that its tests keep for the ones after them."""

    def __init__(self, stack: ClusterStack) -> None:
        """Take it; nothing is deployed yet."""
        self.stack, self.first, self.second = stack, "", ""

    @property
    def revision(self) -> str:
        """The revision that the last update says it serves."""
        return str(self.stack.outputs()["release"]["revision"])

    def runs(self, part: str, word: str) -> bool:
        """Return whether a Job of a part runs, whose command has a word."""
        name = self.stack.naming.part(part)
        return any(
            each["metadata"]["name"].startswith(name)
            and (each.get("status") or {}).get("active")
            and word in each["spec"]["template"]["spec"]["containers"][0]["command"]
            for each in self.stack.cluster.get("jobs", self.stack.namespace)
        )

    def kill_when(self, command: subprocess.Popen[bytes], moment: Callable[[], object], *, what: str) -> None:
        """SIGKILL a command and all that it started, at a moment."""
        try:
            until(lambda: command.poll() is not None or moment(), what=what, deadline_s=_SOON_S)
            assert command.poll() is None, self.stack.background_log.read_text()
        finally:
            self.stack.kill(command)

    def update_again(self) -> None:
        """Update after a killed one, of which the engine has noted what it began; nothing of that one is left."""
        self.stack.pulumi("cancel", "--yes", "--stack", self.stack.name)
        self.stack.must_up("--refresh")
        self.is_tidy()

    def is_tidy(self) -> None:
        """Hold the namespace against what only a command that runs may have there, and the store too."""
        assert not self.stack.has_candidate
        assert self.stack.found("jobs") == set()
        backend = DeployedBackend(self.stack.platform)
        assert (backend.migration.load(), backend.rollback.load()) == (None, None)


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
    life.kill_when(stack.start_up(), lambda: life.runs(DATABASE, "upgrade"), what="the migration's Job")
    life.update_again()
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
        life.kill_when(stack.start_up(), lambda: life.runs(VERIFY, "python"), what="a candidate that is verified")
        assert stack.has_candidate
        assert stack.serving_pods() == before
        life.update_again()
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
        life.kill_when(command, lambda: stack.platform.wanted() == life.first, what="the older pods")
        waiting = stack.up()
        assert not waiting.ok
        assert f"rollback to revision {life.first}" in waiting.text, waiting.text
        done = stack.script("rollback", "--yes")
    assert done.code == ExitCode.DONE, done.text
    stack.until_serving(life.first, pods=1)
    pin = DeployedBackend(stack.platform).ledger.state().pin
    assert pin is not None
    assert (pin.revision, pin.reason) == (life.first, "a test")
    life.is_tidy()
    assert users.failed == []
    assert users.lost() == set()
