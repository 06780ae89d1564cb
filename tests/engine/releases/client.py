"""A real MLflow client, run by the Python of an MLflow environment: it writes a lot, or reads all of it.

`write URL MARK COUNT`: COUNT runs with metrics and an artifact each tenth, and a registered model with two versions.
`read URL`: prints all that `write` ever wrote, as JSON. `stream URL FILE`: logs until the file is gone, and prints
how many calls were answered and which failed. `outside URL`: prints what of the backend's own folder it could read.
"""

from __future__ import annotations

import json
import pathlib
import sys
import tempfile
import time
import urllib.error
import urllib.request

import mlflow
from mlflow.entities import Metric, Param
from mlflow.tracking import MlflowClient


def write(client: MlflowClient, mark: str, count: int) -> None:
    """Write runs, metrics, artifacts and a model."""
    experiment = client.create_experiment(mark)
    for number in range(count):
        run = client.create_run(experiment, tags={"mark": mark})
        metrics = [Metric("loss", number + step / 10, int(time.time() * 1000), step) for step in range(3)]
        client.log_batch(run.info.run_id, metrics=metrics, params=[Param("number", str(number))])
        if number % 10 == 0:
            with tempfile.TemporaryDirectory() as folder:
                path = pathlib.Path(folder) / "note.txt"
                path.write_text(f"{mark} {number}")
                client.log_artifact(run.info.run_id, str(path))
        client.set_terminated(run.info.run_id)
    client.create_registered_model(f"model-{mark}")
    for _ in range(2):
        client.create_model_version(f"model-{mark}", f"{run.info.artifact_uri}/model", run_id=run.info.run_id)


def read(client: MlflowClient) -> dict:
    """Return everything, in an order that does not depend on the server."""
    found = {}
    for experiment in client.search_experiments():
        runs, token = [], None
        while True:
            page = client.search_runs([experiment.experiment_id], max_results=500, page_token=token)
            runs += page
            token = page.token
            if not token:
                break
        if experiment.name == "Default" or "/" in experiment.name:
            continue
        notes = {}
        for run in runs:
            if int(run.data.params["number"]) % 10 == 0:
                with tempfile.TemporaryDirectory() as folder:
                    path = client.download_artifacts(run.info.run_id, "note.txt", folder)
                    notes[run.info.run_id] = pathlib.Path(path).read_text()
        found[experiment.name] = {
            "runs": {run.info.run_id: [run.data.params, run.data.metrics, run.info.status] for run in runs},
            "notes": notes,
        }
    models = {
        model.name: sorted(version.version for version in client.search_model_versions(f"name='{model.name}'"))
        for model in client.search_registered_models()
    }
    return {"experiments": found, "models": models}


def stream(client: MlflowClient, until: pathlib.Path) -> dict:
    """Log without a pause until the file is gone; a call that fails is reported, not repeated."""
    run = client.create_run("0")
    answered, failed = 0, []
    while until.exists():
        try:
            client.log_metric(run.info.run_id, "n", answered, step=answered)
            answered += 1
        except Exception as error:  # noqa: BLE001 - whatever it was, the test has to be told
            failed.append(str(error)[:200])
            time.sleep(0.05)
    kept = client.get_run(run.info.run_id).data.metrics.get("n")
    return {"answered": answered, "failed": failed, "last": kept}


def outside(url: str) -> list[str]:
    """Try to leave the artifacts through the server; return the paths that were answered with content."""
    found = []
    for up in ("..", "../..", "../../backend-store"):
        for path in (f"{up}/_backend/ledger/00000001.json", f"{up}/_backend/newest"):
            for spelled in (path, path.replace("/", "%2f"), path.replace("..", "%2e%2e")):
                try:
                    with urllib.request.urlopen(f"{url}/api/2.0/mlflow-artifacts/artifacts/{spelled}") as answer:
                        found += [spelled] if b"_backend" in answer.read() or answer.status == 200 else []
                except urllib.error.HTTPError:
                    continue
    return found


def main() -> None:
    """Run one command."""
    command, url, *rest = sys.argv[1:]
    mlflow.set_tracking_uri(url)
    client = MlflowClient(url)
    if command == "write":
        write(client, rest[0], int(rest[1]))
    elif command == "outside":
        print(json.dumps(outside(url)))
    elif command == "read":
        print(json.dumps(read(client), sort_keys=True))
    else:
        print(json.dumps(stream(client, pathlib.Path(rest[0]))))


main()
