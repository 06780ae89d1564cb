"""A backup, its drill and restore, a maintenance and a verification on EKS: pods get the roles of their accounts.

AWS is emulated, with its IAM enforced, and the cluster is real. That AWS's own agent gives the roles is not shown here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from mlflow_backend.backup import sealing
from mlflow_backend.contract import ExitCode
from mlflow_backend.kubernetes.naming import VERIFICATION
from mlflow_backend.schedules import MAINTENANCE
from tests.rig.aws.server import REGION
from tests.rig.kubernetes.contents import contents_of
from tests.rig.kubernetes.eks_backend import EksRig, EksStack, aws_names, cluster_name
from tests.rig.kubernetes.scheduled import each_minute, leave_one, maintained
from tests.server.server_image import VERSION
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rig.kubernetes.cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.full, pytest.mark.timeout(900)]

BUCKET: Final = "backups-of-eks"
KEY: Final = sealing.new_key()
_SCHEDULED_S: Final = 240


@pytest.fixture(scope="module")
def stack(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EksStack]:
    """One server, with all work on schedules that the tests do not wait for."""
    folder = tmp_path_factory.mktemp("eks-scheduled")
    recovery = sealing.public_key(KEY)
    sections: dict[str, dict[str, Any]] = {
        "backup": {"destination": f"s3://{BUCKET}/team", "recoveryKey": recovery},
        "maintain": {"schedule": "0 3 * * 0"},
        "verify": {"schedule": "0 3 1 1 *"},
    }
    with EksRig(folder / "aws", cluster, cluster_name(), "mlflow") as rig:
        rig.aws.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        made = EksStack(folder / "stack", rig, **sections)
        made.must_up()
        made.write_runs("kept", 2)
        yield made


def is_stored(stack: EksStack, path: str) -> bool:
    """Return whether the artifact is in the backend's bucket."""
    found = stack.rig.aws.client("s3").list_objects_v2(Bucket=aws_names().bucket("data"), Prefix=f"artifacts/{path}")
    return bool(found["KeyCount"])


def jobs_of(stack: EksStack, work: str) -> dict[str, dict[str, Any]]:
    """Return the state of each Job that a CronJob has started, by its name."""
    listed = json.loads(stack.kubectl("get", "jobs", "-o", "json"))["items"]
    name = stack.naming.part(work)
    return {
        each["metadata"]["name"]: each["status"]
        for each in listed
        if name in [owner["name"] for owner in each["metadata"].get("ownerReferences", [])]
    }


def test_a_job_takes_a_backup_that_is_whole(stack: EksStack) -> None:
    """Both databases' dumps, the artifacts and the keys are at the destination, and their checksums agree."""
    taken = stack.script("backup", "create")
    assert taken.code == ExitCode.DONE, taken.text
    (made,) = backup(stack, "list")["backups"]
    assert backup(stack, "verify", "--read") == {"backup": made["id"], "read": True, "damages": []}


@pytest.fixture(scope="module")
def key(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The option that gives the recovery key."""
    path = tmp_path_factory.mktemp("key") / "recovery.txt"
    path.write_text(f"{KEY}\n")
    return f"file:{path}"


def backup(stack: EksStack, *arguments: str) -> dict[str, Any]:
    """Run the command, and return what it printed."""
    done = stack.script("backup", "--json", *arguments)
    assert done.code == ExitCode.DONE, done.text
    return dict(json.loads(done.text[done.text.index("{\n") :]))


def test_a_drill_on_this_machine_proves_it(stack: EksStack, key: str) -> None:
    """From the bucket and the recovery key: served and verified by a stack of this machine."""
    result = backup(stack, "--recovery-key", key, "drill")
    assert (result["outcome"], result["keys_proved"], result["findings"]) == ("proved", True, [])
    assert backup(stack, "list")["backups"][-1]["state"] == "proved"


def test_its_backup_restored_onto_it_takes_back_what_was_logged_since(stack: EksStack, key: str) -> None:
    """By a Job with the role of the database's tasks; the next update is green. Undone, what was logged is there."""
    before, made = contents_of(stack.call), backup(stack, "list")["backups"][-1]["id"]
    stack.write_runs("since", 1)
    after = contents_of(stack.call)
    backup(stack, "--recovery-key", key, "restore", made)
    assert contents_of(stack.call) == before
    stack.must_up()
    backup(stack, "restore", "--undo")
    assert contents_of(stack.call) == after
    stack.must_up()


def test_a_job_maintains_with_the_role_of_its_account(stack: EksStack) -> None:
    """Row and artifact of what was deleted are gone."""
    path = leave_one(stack, "by-command")
    assert is_stored(stack, path)
    assert maintained(stack)["kept"] == {}
    assert not is_stored(stack, path)


def test_the_schedules_maintain_and_verify_by_themselves(stack: EksStack) -> None:
    """The cluster's own scheduler starts both; the verification knows the version from the ledger."""
    path = leave_one(stack, "by-schedule")
    with each_minute(stack, MAINTENANCE):
        until(lambda: not is_stored(stack, path), what="a maintenance on schedule", deadline_s=_SCHEDULED_S)
    with each_minute(stack, VERIFICATION):
        until(lambda: jobs_of(stack, VERIFICATION), what="a verification on schedule", deadline_s=_SCHEDULED_S)
    until(lambda: ended(stack), what="its end", deadline_s=_SCHEDULED_S)
    for name, state in jobs_of(stack, VERIFICATION).items():
        said = stack.kubectl("logs", f"job/{name}", "--tail=2000")
        assert state.get("succeeded") == 1, said
        assert f'"expected_version": "{VERSION}"' in said


def ended(stack: EksStack) -> bool:
    """Return whether all verifications that the schedule started have ended."""
    return all("completionTime" in each or "failed" in each for each in jobs_of(stack, VERIFICATION).values())
