"""Releases over two schemas on a real cluster: a migration, ways back that are refused, and the one by a restore.

Real MLflow of two versions; the tests stand in the order of one life.
"""

from __future__ import annotations

import json
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.contract import ExitCode
from mlflow_backend.kubernetes.render.oneshot import DATABASE
from mlflow_backend.kubernetes.render.unavailable import RETRY_S
from mlflow_backend.releases.ledger import Ledger
from mlflow_backend.releases.stores import DUMPS
from mlflow_backend.schema_tables import required_heads
from tests.rig.kubernetes.backend import ClusterStack, laid_out
from tests.rig.kubernetes.interruptions import job_runs, kill_when, update_again
from tests.rig.kubernetes.load import Load

if TYPE_CHECKING:
    from collections.abc import Iterator

    import urllib3

    from tests.rig.kubernetes.cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.full, pytest.mark.timeout(900)]

OLD, NEW = "3.4.0", "3.17.2"
_RUNS, _LATER = 3, 2
_WRITTEN = [0.0, 0.1, 0.2]
_ARTIFACT = "api/2.0/mlflow-artifacts/artifacts/0/model"
_CONTENT = b"weights" * 100_000


class Life:
    """The stack at the old version, written to, and its two revisions."""

    def __init__(self, stack: ClusterStack) -> None:
        """Deploy it."""
        self.stack = stack
        stack.serve(OLD)
        stack.must_up()
        stack.write_runs("before", _RUNS)
        stored = stack.upload(_ARTIFACT, iter([_CONTENT]))
        assert stored.status == 200, stored.data
        self.old, self.new = self.revision, ""

    @property
    def revision(self) -> str:
        """The revision that the last update says it serves."""
        return str(self.stack.outputs()["release"]["revision"])

    def is_whole(self) -> None:
        """Hold the backend against what was written to the old version: runs and an artifact."""
        assert self.stack.read_runs("before") == _WRITTEN
        assert self.stack.ask(_ARTIFACT).data == _CONTENT

    @property
    def ledger(self) -> Ledger:
        """What the backend's own prefix holds."""
        return Ledger(self.stack.platform.store, by="a test")


@pytest.fixture(scope="module")
def life(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """One server of the old version, with room for the pools that it opens by the dozen."""
    sections: dict[str, dict[str, Any]] = {
        "server": {"replicas": 1},
        "scaling": {"maxReplicas": 1},
        "database": {"maxConnections": 400, "maxOverflow": 4},
        "kubernetes": {"database": {"memory": 2048}},
    }
    with laid_out(tmp_path_factory.mktemp("releases") / "stack", cluster, "releases", **sections) as stack:
        yield Life(stack)


def test_an_upgrade_migrates_and_loses_nothing(life: Life) -> None:
    """One update: dump, migration by a Job, the candidate, the new pod, verified; what was written is what is read."""
    stack = life.stack
    stack.serve(NEW)
    stack.must_up()
    outputs, heads = stack.outputs(), required_heads(NEW, auth=True)
    assert heads is not None
    assert outputs["verification"]["verdict"] == "pass", outputs["verification"]["table"]
    assert (outputs["release"]["mlflowVersion"], outputs["release"]["schemaHead"]) == (NEW, heads.tracking)
    life.new = life.revision
    stack.until_serving(life.new, pods=1)
    assert life.ledger.read().dumps[-1].heads == required_heads(OLD, auth=True)
    life.is_whole()


def test_without_restore_the_way_back_is_refused(life: Life) -> None:
    """The schema and the option are named; pods and ledger are as they were."""
    stack, before = life.stack, life.ledger.read()
    pods = stack.until_serving(life.new, pods=1)
    refused = stack.script("rollback", "--to", life.old, "--yes")
    assert refused.code == ExitCode.REFUSED, refused.text
    assert "needs a RESTORE" in refused.text
    assert (stack.until_serving(life.new, pods=1), life.ledger.read()) == (pods, before)


def test_with_damaged_dumps_alone_there_is_no_way_back(life: Life) -> None:
    """Each dump is held to its checksum: BLOCKED with `--restore` too, and nothing is touched."""
    stack, before = life.stack, life.ledger.read()
    pods, store = stack.until_serving(life.new, pods=1), stack.platform.store
    dumps = [each for each in before.dumps if each.heads == required_heads(OLD, auth=True)]
    keys = [f"{DUMPS}/{dump.id}/{each.object}" for dump in dumps for each in dump.databases.values()]
    whole = {key: b"".join(store.chunks(key)) for key in keys}
    try:
        for key, content in whole.items():
            store.replace(key, content[:-1] + bytes([content[-1] ^ 1]))
        refused = stack.script("rollback", "--to", life.old, "--restore", "--yes")
    finally:
        for key, content in whole.items():
            store.replace(key, content)
    assert refused.code == ExitCode.REFUSED, refused.text
    assert "is BLOCKED" in refused.text
    assert (stack.until_serving(life.new, pods=1), life.ledger.read()) == (pods, before)


def test_a_restore_goes_back_with_the_losses_counted(life: Life) -> None:
    """What is lost is announced, then gone; the old pod alone serves, verified and pinned.

    Meanwhile users are answered, or asked to come back: no request meets a proxy that has no server behind it.
    """
    stack = life.stack
    stack.write_runs("later", _LATER)
    dry = stack.script("rollback", "--to", life.old, "--restore", "--dry-run", "--json")
    assert dry.code == ExitCode.DONE, dry.text
    assert json.loads(dry.text[dry.text.index("{") :])["losses"]["runs"] >= _LATER, dry.text
    stack.until_serving(life.new, pods=1)
    met, login = Counter[tuple[int, str | None]](), stack.login

    def read() -> urllib3.BaseHTTPResponse:
        answer = stack.ask("api/2.0/mlflow/experiments/get?experiment_id=0", **login)
        met[answer.status, answer.headers.get("retry-after")] += 1
        return answer

    with Load({"read": read}) as load:
        done = stack.script("rollback", "--to", life.old, "--restore", "--yes", "--reason", "a test")
        assert done.code == ExitCode.DONE, done.text
        stack.until_serving(life.old, pods=1)
    assert {status for _, status, _ in load.failed} == {503}, load.failed
    assert met.keys() == {(200, None), (503, str(RETRY_S))}
    assert stack.found("jobs") == set()
    pin = life.ledger.state().pin
    assert pin is not None
    assert (pin.revision, pin.reason) == (life.old, "a test")
    life.is_whole()
    assert stack.ask("api/2.0/mlflow/experiments/get-by-name?experiment_name=later").status == 404


def test_an_upgrade_killed_in_its_migration_is_ended_by_the_next(life: Life) -> None:
    """After the restore, over every step from schema to schema: the Job goes on alone, and the next update ends it."""
    stack, heads = life.stack, required_heads(NEW, auth=True)
    assert heads is not None
    lifted = stack.script("rollback", "--unpin")
    assert lifted.code == ExitCode.DONE, lifted.text
    migrates = partial(job_runs, stack, DATABASE, "upgrade")
    kill_when(stack, stack.start_up("--refresh"), migrates, what="the migration's Job")
    update_again(stack)
    outputs = stack.outputs()
    assert outputs["verification"]["verdict"] == "pass", outputs["verification"]["table"]
    assert (outputs["release"]["mlflowVersion"], outputs["release"]["schemaHead"]) == (NEW, heads.tracking)
    stack.until_serving(life.new, pods=1)
    life.is_whole()
