"""A training that does not begin unless its runs are tracked, and that stays logged in while it lasts.

Server, login and experiment come from the environment (docs/clients.md). Its workers are processes, as a DataLoader's.
"""

from __future__ import annotations

import multiprocessing
import os
import sys

import mlflow
from mlflow_backend_gate import GateClosed, gate

EPOCHS = 3


def load(worker: int, run_id: str) -> None:
    """Log what a worker did, into the run of the training."""
    client = mlflow.MlflowClient()
    for epoch in range(EPOCHS):
        client.log_metric(run_id, f"batches_of_worker_{worker}", 100.0, step=epoch)


def main() -> int:
    """Train; return 1 if the runs could not be tracked."""
    if "MLFLOW_RUN_ID" not in os.environ:
        try:
            os.environ.update(gate(output=os.environ.get("OUTPUT", "")).environment())
        except GateClosed as closed:
            print(f"Not trained: {closed}", file=sys.stderr)
            return 1
    # Goes on with the gate's run, and takes MLFLOW_RUN_ID out of the environment.
    with mlflow.start_run() as run, multiprocessing.get_context("spawn").Pool(2) as workers:
        mlflow.log_param("epochs", EPOCHS)
        loading = workers.starmap_async(load, [(0, run.info.run_id), (1, run.info.run_id)])
        for epoch in range(EPOCHS):
            mlflow.log_metric("loss", 1 / (epoch + 1), step=epoch)
        loading.get(timeout=600)
    return 0


if __name__ == "__main__":
    sys.exit(main())
