"""Checks that MLflow tracks: an experiment, a run, metrics, parameters, written, found and read back; the registry.

All that they make lies in one experiment under a reserved prefix, with a tag, so that a sweep finds what a killed
verification left behind. Deletes of runs and experiments are soft in MLflow and block the name: each name is used once.
"""

from __future__ import annotations

import time
from typing import Final

from components.verify.answers import Answer, pairs, same
from components.verify.context import REST, Context
from components.verify.model import Finding, passed

PREFIX: Final = "_mlflow-backend-verify"
TAG: Final = "mlflow-backend.verification"
"""On an experiment or a model: from when on it is a leftover, seconds since the epoch. On a run: only a mark."""
SERIES: Final = ((0, 1.0), (1, 0.5), (2, 0.25), (3, 0.125))
"""Steps and values of the metric that is written and read back: exact in binary, so that equality is fair."""
NOT_FOUND: Final = 404


def database(context: Context) -> Finding:
    """The database answers the server."""
    context.post("experiments/search", {"max_results": 1}).items("experiments")
    return passed("experiments are read from the database")


def experiment(context: Context) -> Finding:
    """An experiment can be made."""
    made = context.made
    context.undo_later("experiment", _remove_experiment)
    tags = [{"key": TAG, "value": str(made.abandoned_at)}]
    made.experiment_at = time.time()
    made.experiment_id = context.post("experiments/create", {"name": made.name, "tags": tags}).text("experiment_id")
    return passed("experiment made")


def experiment_search(context: Context) -> Finding:
    """The experiment is found by its name."""
    made = context.made
    found = context.post("experiments/search", {"max_results": 2, "filter": f"name = '{made.name}'"}).items(
        "experiments"
    )
    return same(
        "experiment found by its name",
        written=[made.experiment_id],
        read=[str(item.get("experiment_id")) for item in found],
    )


def run(context: Context) -> Finding:
    """A run can be made."""
    made = context.made
    payload = {
        "experiment_id": made.experiment_id,
        "run_name": "verification",
        "start_time": _now_ms(),
        "tags": [{"key": TAG, "value": "1"}],
    }
    answer = context.post("runs/create", payload, fresh=True)
    made.run_id = answer.text("run", "info", "run_id")
    made.artifact_root = answer.text("run", "info", "artifact_uri")
    return passed("run made")


def log_metric(context: Context) -> Finding:
    """A metric can be logged."""
    step, value = SERIES[0]
    payload = {"run_id": context.made.run_id, "key": "loss", "value": value, "timestamp": _now_ms(), "step": step}
    context.post("runs/log-metric", payload, fresh=True)
    return passed("metric logged")


def log_parameter(context: Context) -> Finding:
    """A parameter can be logged."""
    context.post(
        "runs/log-parameter", {"run_id": context.made.run_id, "key": "probe", "value": context.made.name}, fresh=True
    )
    return passed("parameter logged")


def log_batch(context: Context) -> Finding:
    """A batch of metrics, parameters and tags can be logged."""
    now = _now_ms()
    payload = {
        "run_id": context.made.run_id,
        "metrics": [{"key": "loss", "value": value, "timestamp": now, "step": step} for step, value in SERIES[1:]],
        "params": [{"key": "batch", "value": "1"}],
        "tags": [{"key": "batch", "value": "1"}],
    }
    context.post("runs/log-batch", payload, fresh=True)
    return passed(f"{len(SERIES) - 1} metrics, a parameter and a tag logged at once")


def run_update(context: Context) -> Finding:
    """A run can be finished."""
    context.post(
        "runs/update", {"run_id": context.made.run_id, "status": "FINISHED", "end_time": _now_ms()}, fresh=True
    )
    return passed("run finished")


def run_get(context: Context) -> Finding:
    """The run reads back as it was written."""
    answer = context.get("runs/get", run_id=context.made.run_id, fresh=True)
    written = ("FINISHED", {"probe": context.made.name, "batch": "1"}, {"loss": SERIES[-1][1]})
    read = (
        answer.text("run", "info", "status"),
        pairs(answer.items("run", "data", "params")),
        pairs(answer.items("run", "data", "metrics")),
    )
    return same("run read back", written=written, read=read)


def run_search(context: Context) -> Finding:
    """The run is found by its parameter."""
    made = context.made
    payload = {"experiment_ids": [made.experiment_id], "filter": f"params.probe = '{made.name}'", "max_results": 2}
    found = context.post("runs/search", payload, fresh=True).items("runs")
    return same("run found by its parameter", written=[made.run_id], read=[_run_id(item) for item in found])


def metric_history(context: Context) -> Finding:
    """The metric's history reads back equal."""
    # Without max_results MLflow 3.4.0 answers an empty page (measured).
    answer = context.get(
        "metrics/get-history", run_id=context.made.run_id, metric_key="loss", max_results=100, fresh=True
    )
    read = sorted((item.get("step", 0), item.get("value")) for item in answer.items("metrics"))
    return same(f"history of {len(SERIES)} values read back", written=list(SERIES), read=read)


def registered_models(context: Context) -> Finding:
    """The model registry answers."""
    found = context.get("registered-models/search", max_results=1).items("registered_models")
    return passed("the registry answers" if found else "the registry answers, and is empty")


def _remove_experiment(context: Context) -> None:
    made = context.made
    if not made.experiment_id:
        exchange = context.send("GET", f"{REST}/experiments/get-by-name", query={"experiment_name": made.name})
        if exchange.status == NOT_FOUND:
            return
        made.experiment_id = Answer.of(exchange).text("experiment", "experiment_id")
    if made.run_id:
        context.post("runs/delete", {"run_id": made.run_id}, fresh=True)
    context.post("experiments/delete", {"experiment_id": made.experiment_id}, fresh=True)


def _run_id(item: dict[str, object]) -> object:
    info = item.get("info")
    return info.get("run_id") if isinstance(info, dict) else None


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
