"""Backups restored onto a real cluster, with real MLflow: one of another machine's stack, from its folder alone."""

from __future__ import annotations

import base64
import contextlib
import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

import pytest
import urllib3

from mlflow_backend.backup import catalogue, sealing
from mlflow_backend.backup.destination import FolderDestination
from mlflow_backend.contract import ExitCode
from mlflow_backend.local import credentials
from tests.engine import calls
from tests.engine.releases import support
from tests.engine.stack import LocalStack
from tests.rig.kubernetes.backend import ClusterStack, login_of
from tests.rig.kubernetes.contents import contents_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.engine.project import Outcome
    from tests.rig.kubernetes.cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.full, pytest.mark.timeout(900)]

KEY: Final = sealing.new_key()
ARTIFACT, WEIGHTS = "api/2.0/mlflow-artifacts/artifacts/0/model/weights.bin", b"weights" * 100_000
USER, PASSWORD = "somebody", "a-password-of-hers"


@dataclass(frozen=True, kw_only=True)
class Original:
    """A backup of a stack that is gone: where it is, and what users had in it."""

    folder: Path
    key: Path
    administrator: str
    data: dict[str, Any]

    @property
    def manifest(self) -> Any:
        """The backup's manifest."""
        return catalogue.read(FolderDestination(self.folder / "original")).newest

    def options(self, *arguments: str) -> tuple[str, ...]:
        """Return the command line that names it."""
        return ("--destination", str(self.folder), "--of", "original", *arguments)

    def opened(self, *arguments: str) -> tuple[str, ...]:
        """Return the command line that names it and its key."""
        return self.options("--recovery-key", f"file:{self.key}", *arguments)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Original:
    """A stack of this machine that was used, backed up into a folder, and lost."""
    folder = tmp_path_factory.mktemp("original")
    key, destination = folder / "recovery.txt", folder / "destination"
    key.write_text(f"{KEY}\n")
    stack = LocalStack(folder / "stack", "original")
    section = {"destination": str(destination), "recoveryKey": sealing.public_key(KEY), "schedule": "never"}
    stack.write_settings(access={"mode": "basic"}, backup={**section, "drillSchedule": "never"})
    with contextlib.closing(stack):
        stack.must_up()
        administrator = credentials.read(stack.state, credentials.ADMIN)
        login, url = (credentials.ADMIN_NAME, administrator), stack.output("trackingUrl")
        call = partial(calls.call, url, login=login)
        experiment = call("experiments/create", {"name": "research"})["experiment_id"]
        run = call("runs/create", {"experiment_id": experiment, "run_name": "first"})["run"]["info"]["run_id"]
        call("runs/log-metric", {"run_id": run, "key": "loss", "value": 0.5, "timestamp": 1})
        call("runs/log-parameter", {"run_id": run, "key": "rate", "value": "0.1"})
        call("registered-models/create", {"name": "model"})
        source = f"mlflow-artifacts:/{experiment}/{run}/artifacts"
        call("model-versions/create", {"name": "model", "source": source, "run_id": run})
        call("users/create", {"username": USER, "password": PASSWORD})
        with urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=5, read=60)) as pool:
            answer = pool.request("PUT", f"{url}/{ARTIFACT}", body=WEIGHTS, headers=login_of(*login))
        assert answer.status == 200, answer.data
        made = support.run(stack, "backup", "create")
        assert made.ok, made.text
        return Original(folder=destination, key=key, administrator=administrator, data=contents_of(call))


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
