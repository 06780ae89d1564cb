"""A command that is killed in the middle on a real cluster, with real MLflow: the next one ends what was begun."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlflow_backend.deployed import DeployedBackend
from mlflow_backend.kubernetes.render.oneshot import DATABASE
from mlflow_backend.schema_tables import required_heads
from tests.rig.kubernetes.backend import ClusterStack, laid_out
from tests.server import server_image
from tests.server.services import until

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Iterator

    from tests.rig.kubernetes.cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.full, pytest.mark.timeout(1200)]

_SOON_S = 400


class Life:
    """The stack, and what is done with its commands."""

    def __init__(self, stack: ClusterStack) -> None:
        """Take it; nothing is deployed yet."""
        self.stack = stack

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
    stack.until_serving(life.revision, pods=1)
