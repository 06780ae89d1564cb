"""A backup on EKS with real MLflow: its pod gets the role of its account.

AWS is emulated, with its IAM enforced, and the cluster is real. That AWS's own agent gives the roles is not shown here.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from mlflow_backend.backup import sealing
from mlflow_backend.contract import ExitCode
from tests.rig.aws.server import REGION
from tests.rig.kubernetes.eks_backend import EksRig, EksStack, cluster_name

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rig.kubernetes.cluster import Cluster

pytestmark = [pytest.mark.slow, pytest.mark.full, pytest.mark.timeout(900)]

BUCKET: Final = "backups-of-eks"


@pytest.fixture(scope="module")
def stack(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[EksStack]:
    """One server, with a run in an experiment."""
    folder = tmp_path_factory.mktemp("eks-backups")
    recovery = sealing.public_key(sealing.new_key())
    sections: dict[str, dict[str, Any]] = {
        "backup": {"destination": f"s3://{BUCKET}/team", "recoveryKey": recovery},
    }
    with EksRig(folder / "aws", cluster, cluster_name(), "mlflow") as rig:
        rig.aws.client("s3").create_bucket(Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION})
        made = EksStack(folder / "stack", rig, **sections)
        made.must_up()
        made.write_runs("kept", 2)
        yield made


def test_a_job_takes_a_backup_that_is_whole(stack: EksStack) -> None:
    """Both databases' dumps, the artifacts and the keys are at the destination, and their checksums agree."""
    taken = stack.script("backup", "create")
    assert taken.code == ExitCode.DONE, taken.text
    (backup,) = json.loads(stack.script("backup", "list", "--json").text)["backups"]
    verified = stack.script("backup", "verify", "--read", "--json")
    assert verified.code == ExitCode.DONE, verified.text
    assert json.loads(verified.text) == {"backup": backup["id"], "read": True, "damages": []}
