"""The examples for those who train: each is run with MLflow's real client, against a server that wants their login."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING, Any

import kubernetes_validate
import pytest
import yaml

from tests.client.sign_in_stand_ins import QUIET, Guarded
from tests.server.environments import python
from tests.tools.projects import ROOT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

EXAMPLES = ROOT / "examples" / "clients"
KEY = "of-a-trainer"


@pytest.fixture
def guarded() -> Iterator[Guarded]:
    """A server that wants an API key."""
    with Guarded(key=KEY) as server:
        yield server


def run(
    command: str, version: str, installed: Path, folder: Path, environment: Mapping[str, str]
) -> subprocess.CompletedProcess[str]:
    """Run a command of an example by a shell as GitHub's, beside train.py, with a version's Python first on PATH."""
    (folder / "train.py").write_text((EXAMPLES / "train.py").read_text())
    path = f"{python(version).parent}:{os.environ['PATH']}"
    # A home that nobody can make, as a container's user has none.
    base = {
        "PATH": path,
        "HOME": str(folder / "train.py" / "home"),
        "PYTHONPATH": str(installed),
        **QUIET,
        **environment,
    }
    return subprocess.run(
        ["bash", "-e", "-o", "pipefail", "-c", command],
        cwd=folder,
        env=base,
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
    )


def assert_trained(server: Guarded) -> None:
    """One run, in the experiment that was named, with every metric of the training and its workers."""
    assert [item["name"] for item in server.server.experiments.values()] == ["forecasts"]
    (found,) = server.server.runs.values()
    steps = sorted((metric["key"], int(metric["step"])) for metric in found["metrics"])
    names = ("batches_of_worker_0", "batches_of_worker_1", "loss")
    assert steps == [(name, step) for name in names for step in range(3)]
    assert found["info"]["status"] == "FINISHED"


def job() -> dict[str, Any]:
    """The Job's document."""
    return dict(yaml.safe_load((EXAMPLES / "job.yaml").read_text()))


def test_the_job_trains_with_its_mounted_key(installed: Path, guarded: Guarded, tmp_path: Path) -> None:
    """The container's own command and variables; the Secret is a file where it would be mounted."""
    (container,) = job()["spec"]["template"]["spec"]["containers"]
    environment = {item["name"]: item["value"] for item in container["env"]}
    environment |= {"MLFLOW_TRACKING_URI": guarded.url}
    environment["MLFLOW_BACKEND_KEY"] = environment["MLFLOW_BACKEND_KEY"].replace("/run/mlflow", str(tmp_path))
    closed = run(" ".join(container["command"]), "2.9.2", installed, tmp_path, environment)
    assert closed.returncode == 1
    assert "MLFLOW_BACKEND_KEY" in closed.stderr
    (tmp_path / "key").write_text(f"{KEY}\n")
    trained = run(" ".join(container["command"]), "2.9.2", installed, tmp_path, environment)
    assert trained.returncode == 0, trained.stderr[-4000:]
    assert_trained(guarded)


@pytest.mark.parametrize("version", ["1.34", kubernetes_validate.latest_version()])
@pytest.mark.parametrize("name", ["job.yaml", "job-as-user.yaml"])
def test_the_jobs_are_what_kubernetes_takes(name: str, version: str) -> None:
    """Held to the schema of Kubernetes, unknown fields refused."""
    kubernetes_validate.validate(yaml.safe_load((EXAMPLES / name).read_text()), version, strict=True)


def test_the_steps_of_github_train_in_the_gates_run(installed: Path, guarded: Guarded, tmp_path: Path) -> None:
    """Each step's own shell line, with the variables that the steps before it left."""
    (workflow,) = yaml.safe_load((EXAMPLES / "github-actions.yml").read_text())["jobs"].values()
    steps = {step["name"]: step["run"] for step in workflow["steps"] if "name" in step}
    left = tmp_path / "github.env"
    left.write_text("")
    environment = {
        "MLFLOW_TRACKING_URI": guarded.url,
        "MLFLOW_EXPERIMENT_NAME": workflow["env"]["MLFLOW_EXPERIMENT_NAME"],
        "MLFLOW_TRACKING_TOKEN": "wrong",
        "GITHUB_ENV": str(left),
        "GITHUB_SHA": "abc",
    }
    assert run(steps["gate"], "3.17.2", installed, tmp_path, environment).returncode == 1
    environment["MLFLOW_TRACKING_TOKEN"] = KEY
    for name in ("gate", "train"):
        environment |= dict(line.split("=", 1) for line in left.read_text().splitlines())
        done = run(steps[name], "3.17.2", installed, tmp_path, environment)
        assert done.returncode == 0, done.stderr[-4000:]
    assert_trained(guarded)
    assert (tmp_path / "gate" / "mlflow_status.json").exists()
