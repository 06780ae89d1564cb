"""The task that verifies on a schedule a backend on Cloud Storage: what it is packed with is enough."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from mlflow_backend.backup import job, verify_job
from mlflow_backend.backup.verify_job import ScheduledVerification
from mlflow_backend.codec import to_document
from mlflow_backend.contract import ExitCode
from mlflow_backend.verify.request import VerifyRequest
from mlflow_backend.verify.subjects import Subject
from tests.components.aws.packed import run_packed

if TYPE_CHECKING:
    from pathlib import Path

NOWHERE = "http://127.0.0.1:9"


def test_what_it_is_packed_with_is_enough(tmp_path: Path) -> None:
    """Without this project and what it depends on it verifies, although nobody let it read the ledger."""
    (tmp_path / job.TOOL).write_bytes(verify_job.bundle(cloud="gcp"))
    wanted = ScheduledVerification(
        store=job.Bucket(bucket="data", root="r"),
        subject=Subject(url=NOWHERE, access=True, stack="gcp", proxied=False),
        request=VerifyRequest(deadline_s=5),
    )
    (tmp_path / job.JOB).write_text(json.dumps(to_document(wanted)))
    nobody = tmp_path / "none.json"
    done = run_packed(
        tmp_path / job.TOOL, str(tmp_path), GOOGLE_APPLICATION_CREDENTIALS=str(nobody), HOME=str(tmp_path)
    )
    verdict, _, report = done.stdout.partition("\n")
    assert json.loads(verdict)["verdict"] == json.loads(report)["verdict"] != "pass", done.stderr
    assert done.returncode != ExitCode.DONE
    assert "probe-error" not in report
