"""Maintenance and verification by CronJobs on a real cluster, with real MLflow; a maintenance by the command too."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING, Any, Final

import pytest

from mlflow_backend.bucket_root import ARTIFACTS
from mlflow_backend.identity import OBJECT, object_of
from mlflow_backend.kubernetes.naming import JOB, VERIFICATION
from mlflow_backend.schedules import MAINTENANCE
from tests.rig.kubernetes.backend import ClusterStack, laid_out
from tests.rig.kubernetes.scheduled import each_minute, leave_one, maintained
from tests.server.server_image import VERSION
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rig.kubernetes.cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.full, pytest.mark.timeout(900)]

RUNS: Final = 2
# A CronJob of each minute starts within one, and its pod within another.
_SCHEDULED_S: Final = 240


@pytest.fixture(scope="module")
def stack(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ClusterStack]:
    """One server, with a maintenance each week and a verification each year: the tests say when."""
    sections: dict[str, dict[str, Any]] = {
        "server": {"replicas": 1},
        "scaling": {"maxReplicas": 1},
        "maintain": {"schedule": "0 3 * * 0"},
        "verify": {"schedule": "0 3 1 1 *"},
    }
    with laid_out(tmp_path_factory.mktemp("maintained") / "stack", cluster, "maintained", **sections) as made:
        made.must_up()
        made.write_runs("kept", RUNS)
        yield made


def state_of(stack: ClusterStack, work: str) -> str:
    """Return what the status says of scheduled work."""
    return next(part.state for part in stack.platform.parts() if part.name == work)


def is_stored(stack: ClusterStack, path: str) -> bool:
    """Return whether the artifact is in the bucket."""
    return stack.platform.store.size(f"artifacts/{path}") is not None


def test_a_job_removes_for_good_and_says_what_is_large(stack: ClusterStack) -> None:
    """A dry run removes nothing; then row and artifact are gone, the others serve on, and no Job is left."""
    path = leave_one(stack, "by-command")
    planned = maintained(stack, "--dry-run")
    assert planned["removed"]["experiments"] >= 1
    assert is_stored(stack, path)
    done = maintained(stack)
    assert (done["removed"], done["kept"]) == (planned["removed"], {})
    assert not is_stored(stack, path)
    assert stack.read_runs("kept") == [step / 10 for step in range(RUNS)]
    assert done["databases"].keys() == {"tracking", "auth"}
    assert done["databases"]["tracking"]["bytes"] > 0
    assert maintained(stack, "--dry-run")["removed"]["experiments"] == 0
    assert stack.found("jobs") == set()


def test_artifacts_of_nothing_are_listed_and_not_removed(stack: ClusterStack) -> None:
    """They are asked of the bucket and of the database within the cluster."""
    stack.platform.store.replace("artifacts/999/lost.bin", b"nobody's")
    found = maintained(stack)
    assert "999/lost.bin" in found["lost"]
    assert is_stored(stack, "999/lost.bin")


def test_the_schedule_maintains_by_itself(stack: ClusterStack) -> None:
    """The cluster's own scheduler starts it; the status says that it was done, and the logs what."""
    path = leave_one(stack, "by-schedule")
    with each_minute(stack, MAINTENANCE):
        until(lambda: not is_stored(stack, path), what="a maintenance on schedule", deadline_s=_SCHEDULED_S)
    until(lambda: state_of(stack, MAINTENANCE).startswith("done 2"), what="the CronJob's own word", deadline_s=90)
    assert any('"maintained"' in said for said in stack.platform.tails(JOB, lines=500))


def verified(stack: ClusterStack) -> str:
    """Let the schedule verify, and return what the status says of it, once it has ended."""
    with each_minute(stack, VERIFICATION):
        until(lambda: "under way" in state_of(stack, VERIFICATION), what="a verification", deadline_s=_SCHEDULED_S)
    until(lambda: "under way" not in state_of(stack, VERIFICATION), what="its end", deadline_s=_SCHEDULED_S)
    return state_of(stack, VERIFICATION)


def test_the_schedule_verifies_by_itself(stack: ClusterStack) -> None:
    """It passes, by the CronJob's own word; its report, which knows the version from the ledger, is in the log."""
    state, said = verified(stack), "\n".join(stack.platform.tails(JOB, lines=2000))
    assert state.startswith("done 2"), said
    assert f'"expected_version": "{VERSION}"' in said


def test_a_verification_on_schedule_that_is_red_is_shown_as_failed(stack: ClusterStack) -> None:
    """The store is another backend's: the Job fails, status and log say so; the one after the repair passes."""
    store, key = stack.platform.store, f"{ARTIFACTS}/{OBJECT}"
    own = store.read([key])[key]
    stack.platform.mark_store(object_of(str(uuid.uuid4()), str(uuid.uuid4())))
    try:
        state, said = verified(stack), "\n".join(stack.platform.tails(JOB, lines=2000))
    finally:
        stack.platform.mark_store(own)
    assert state.startswith("failed, begun "), said
    assert '"another-backend"' in said
    assert verified(stack).startswith("done 2")
