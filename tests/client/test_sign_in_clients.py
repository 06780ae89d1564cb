"""Sign-in as MLflow's own clients use it, of each version: in threads, forked and spawned workers, as logins end."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.environments import locked_versions
from tests.client.sign_in_stand_ins import QUIET, Google, Guarded
from tests.components.verify.fake_mlflow import Asked, Reply, as_json
from tests.matrices import rows
from tests.server.environments import python

if TYPE_CHECKING:
    from collections.abc import Mapping

TRAINING = Path(__file__).with_name("training.py")


def train(version: str, artifact: Path, environment: Mapping[str, str]) -> tuple[int, str, str]:
    """Run the training with a version's client, without this shell's logins and proxies: its code and its output."""
    ours = ("MLFLOW_", "GOOGLE_", "GCE_", "CLOUDSDK_", "HTTP_PROXY", "http_proxy")
    clean = {name: value for name, value in os.environ.items() if not name.startswith(ours)}
    with subprocess.Popen(
        [str(python(version)), str(TRAINING), str(artifact)],
        env={**clean, **QUIET, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            output, said = process.communicate(timeout=300)
        finally:
            # Its workers too, if it did not end.
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, output, said


@pytest.mark.slow
@pytest.mark.parametrize("version", rows(locked_versions(), shown=("2.9.2", "3.17.2")))
def test_no_metric_is_lost_when_logins_end(version: str, installed: Path, tmp_path: Path) -> None:
    """Identity tokens end after 5 s though they say an hour, the key is replaced: every worker goes on."""
    key, artifact = tmp_path / "key", tmp_path / "model.bin"
    key.write_text("first-s3cret\n")
    artifact.write_bytes(os.urandom(3_000_000))
    with Google(life_s=5) as google, Guarded(google=google, header="x-serverless-authorization") as guarded:
        guarded.key = "first-s3cret"
        refuse = guarded.server.fault

        def fault(asked: Asked) -> Reply | None:
            if asked.path != "/revoke":
                return refuse(asked)
            google.revoke()
            key.write_text("second-s3cret\n")
            guarded.key = "second-s3cret"
            return as_json({})

        guarded.server.fault = fault
        code, output, said = train(
            version,
            artifact,
            {
                **google.environment,
                "PYTHONPATH": str(installed),
                "MLFLOW_TRACKING_URI": guarded.url,
                "MLFLOW_TRACKING_AUTH": "mlflow-backend",
                "MLFLOW_BACKEND_AUDIENCE": "https://mlflow.example",
                "MLFLOW_BACKEND_KEY": f"file:{key}",
            },
        )
    assert code == 0, said[-4000:]
    logged = dict(json.loads(line) for line in output.splitlines() if line.startswith("["))
    assert sorted(logged) == ["fork-0", "fork-1", "spawn-0", "thread-0", "thread-1"]
    (run,) = guarded.server.runs.values()
    for name, steps in logged.items():
        got = sorted(metric["step"] for metric in run["metrics"] if metric["key"] == name)
        assert [int(step) for step in got] == list(range(steps))
    assert artifact.read_bytes() in guarded.server.artifacts.values()
    assert "s3cret" not in output + said
    assert set(google.audiences) == {"https://mlflow.example"}
