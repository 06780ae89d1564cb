"""A training whose threads, forked and spawned workers log metrics until the server has refused each one's login.

Run with the Python of an MLflow environment. It prints a line of JSON for each worker: its name, and how many metrics
it logged. Then all logins are revoked (a POST to /revoke), and a file is uploaded.
"""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import sys
import threading
import time
import urllib.request

import mlflow

WAIT_S = 120


def ask(path: str, body: bytes | None = None) -> str:
    """Ask the stand-in something that is not MLflow's."""
    with urllib.request.urlopen(os.environ["MLFLOW_TRACKING_URI"] + path, data=body, timeout=WAIT_S) as answer:
        return str(answer.read().decode())


def work(name: str, run_id: str, *, group: str = "") -> None:
    """Log metrics until one of a worker's group (default: itself) was refused, and three more."""
    client, deadline, step, left = mlflow.MlflowClient(), time.monotonic() + WAIT_S, 0, 3
    while left and time.monotonic() < deadline:
        client.log_metric(run_id, name, float(step), step=step)
        step += 1
        left -= json.loads(ask(f"/refused/{group or name}"))["refused"] > 0
        time.sleep(0.02)
    sys.stdout.write(json.dumps([name, step]) + "\n")
    sys.stdout.flush()
    sys.exit(int(left > 0))


def main(artifact: str) -> int:
    """Train; return how many workers failed."""
    logging.basicConfig(level=logging.DEBUG)
    client = mlflow.MlflowClient()
    run_id = client.create_run("0").info.run_id
    threads = [threading.Thread(target=work, args=(f"thread-{n}", run_id), kwargs={"group": "thread"}) for n in (0, 1)]
    workers = [
        multiprocessing.get_context(method).Process(target=work, args=(f"{method}-{n}", run_id))
        for method, n in (("fork", 0), ("fork", 1), ("spawn", 0))
    ]
    # The threads come last: one that holds a lock of MLflow's while the others are forked would stop these for ever.
    for worker in (*workers, *threads):
        worker.start()
    for worker in (*threads, *workers):
        worker.join()
    ask("/revoke", b"")
    client.log_artifact(run_id, artifact)
    return sum(worker.exitcode != 0 for worker in workers)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
