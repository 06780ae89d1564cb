"""Checks that MLflow tracks: an experiment, a run, and all that a training script logs, written, found and read back.

All that they make is in one experiment under a reserved prefix, with a tag, so that a sweep finds what a killed
verification left behind. Deletes of runs and experiments are soft in MLflow and block the name: each name is used once.
"""

from __future__ import annotations

import math
import sys
import time
from typing import Any, Final
from urllib.parse import urlsplit

from mlflow_backend.verify.answers import Answer, first_red, pairs, same
from mlflow_backend.verify.context import REST, Context
from mlflow_backend.verify.model import Finding, Request, failed, passed, skipped, warned

PREFIX: Final = "_mlflow-backend-verify"
TAG: Final = "mlflow-backend.verification"
"""On an experiment or a model: from when on it is a leftover, seconds since the epoch. On a run: only a mark."""
TEXT: Final = "Ünï Ελλάδα Київ 実験 한국어 مرحبا हिन्दी 🧪"
"""Text as teams write it, in several alphabets and with a character beyond 16 bits: in names, parameters and tags."""
SERIES: Final = ((0, 1.0), (1, 0.5), (2, 0.25), (3, 0.125))
"""Steps and values of the metric that is written and read back: exact in binary, so that equality is fair."""
ODD: Final = {"nan": "NaN", "infinity": "Infinity", "minus infinity": "-Infinity"}
"""Values that JSON has no number for, as MLflow's client sends them."""
MANY: Final = {f"layer.{number:04d}.{'weight.gradient.' * 12}norm": number / 8 for number in range(1000)}
"""The most metrics that MLflow takes at once, with long names: a body of 276 KB, and an answer above 256 KiB."""
DATASET: Final = {"name": TEXT, "digest": "verify", "source_type": "local", "source": TEXT, "schema": TEXT}
CONTEXT_TAG: Final = "mlflow.data.context"
DEFAULT: Final = "0"
NOT_FOUND: Final = 404
REFUSED: Final = frozenset({401, 403})


def database(context: Context) -> Finding:
    """The database answers the server."""
    context.post("experiments/search", {"max_results": 1}).items("experiments")
    return passed("experiments are read from the database")


def experiment(context: Context) -> Finding:
    """An experiment can be made."""
    made = context.created
    context.undo_later("experiment", _remove_experiment)
    tags = [{"key": TAG, "value": str(made.abandoned_at)}, {"key": "text", "value": TEXT}]
    made.experiment_at = time.time()
    made.experiment_id = context.post("experiments/create", {"name": made.name, "tags": tags}).text("experiment_id")
    return passed("experiment made")


def experiment_search(context: Context) -> Finding:
    """The experiment is found by its name, with its tags."""
    made = context.created
    query = {"max_results": 2, "filter": f"name = '{made.name}'"}
    found = context.post("experiments/search", query).items("experiments")
    read = [
        (str(item.get("experiment_id")), item.get("name"), pairs(item.get("tags", [])).get("text")) for item in found
    ]
    return same(
        "experiment found by its name, with its tags", written=[(made.experiment_id, made.name, TEXT)], read=read
    )


def default_experiment(context: Context) -> Finding:
    """Clients that name no experiment can log."""
    exchange = context.send(Request("GET", f"{REST}/experiments/get", query={"experiment_id": DEFAULT}))
    if exchange.status == NOT_FOUND:
        return _default_warning("there is no experiment 0 (Default)", "It was removed from the database.")
    if exchange.status in REFUSED:
        return skipped("the verifier may not read the experiment Default")
    answer = Answer.of(exchange)
    if answer.text("experiment", "lifecycle_stage") != "active":
        return _default_warning("the experiment Default is deleted", "Somebody deleted it.")
    root, ours = _kept_by(answer.text("experiment", "artifact_location")), _kept_by(context.created.artifact_root)
    if root != ours:
        return _default_warning(
            f"the experiment Default keeps its artifacts at {root}, new experiments at {ours}",
            "A server of other settings made it, and MLflow keeps an experiment's location for ever.",
        )
    return passed("the experiment Default is there, and keeps its artifacts where new experiments do")


def run(context: Context) -> Finding:
    """A run can be made."""
    made = context.created
    payload = {
        "experiment_id": made.experiment_id,
        "run_name": f"verification {TEXT}",
        "start_time": _now_ms(),
        "tags": [{"key": TAG, "value": "1"}, {"key": "text", "value": TEXT}],
    }
    answer = context.post("runs/create", payload, fresh=True)
    made.run_id = answer.text("run", "info", "run_id")
    made.artifact_root = answer.text("run", "info", "artifact_uri")
    return passed("run made")


def log_metric(context: Context) -> Finding:
    """A metric can be logged."""
    step, value = SERIES[0]
    payload = {"run_id": context.created.run_id, "key": "loss", "value": value, "timestamp": _now_ms(), "step": step}
    context.post("runs/log-metric", payload, fresh=True)
    return passed("metric logged")


def log_parameter(context: Context) -> Finding:
    """A parameter can be logged."""
    parameter = {"run_id": context.created.run_id, "key": "probe", "value": context.created.name}
    context.post("runs/log-parameter", parameter, fresh=True)
    return passed("parameter logged")


def log_batch(context: Context) -> Finding:
    """A batch of metrics (no number and infinities among them), parameters and tags can be logged."""
    now = _now_ms()
    series = [{"key": "loss", "value": value, "timestamp": now, "step": step} for step, value in SERIES[1:]]
    odd = [{"key": key, "value": value, "timestamp": now, "step": 0} for key, value in ODD.items()]
    payload = {
        "run_id": context.created.run_id,
        "metrics": series + odd,
        "params": [{"key": "batch", "value": TEXT}],
        "tags": [{"key": "batch", "value": TEXT}],
    }
    context.post("runs/log-batch", payload, fresh=True)
    return passed(f"{len(series + odd)} metrics, a parameter and a tag logged at once")


def log_batch_large(context: Context) -> Finding:
    """As many metrics with long names as MLflow takes at once can be logged."""
    now = _now_ms()
    metrics = [{"key": key, "value": value, "timestamp": now, "step": 0} for key, value in MANY.items()]
    context.post("runs/log-batch", {"run_id": context.created.run_id, "metrics": metrics}, fresh=True)
    return passed(f"{len(metrics)} metrics logged at once")


def log_inputs(context: Context) -> Finding:
    """A dataset can be logged as a run's input."""
    tags = [{"key": CONTEXT_TAG, "value": TEXT}]
    payload = {"run_id": context.created.run_id, "datasets": [{"tags": tags, "dataset": DATASET}]}
    context.post("runs/log-inputs", payload, fresh=True)
    return passed("dataset logged")


def run_update(context: Context) -> Finding:
    """A run can be finished."""
    context.post(
        "runs/update", {"run_id": context.created.run_id, "status": "FINISHED", "end_time": _now_ms()}, fresh=True
    )
    return passed("run finished")


def run_get(context: Context) -> Finding:
    """The run reads back as it was written: metrics, parameters, tags, inputs."""
    answer = context.get("runs/get", run_id=context.created.run_id, fresh=True)
    return first_red(_run_findings(answer, answer.document.get("run"), context), "run read back, whole")


def run_search(context: Context) -> Finding:
    """The run is found by its tag, once, and reads back as it was written."""
    made = context.created
    payload = {"experiment_ids": [made.experiment_id], "filter": f"tags.text = '{TEXT}'", "max_results": 2}
    answer = context.post("runs/search", payload, fresh=True)
    found = answer.items("runs")
    ids = [_run_id(item) for item in found]
    if len(ids) > 1 and made.run_id in ids:
        return repeated(f"one run was made, {len(ids)} are there")
    if ids != [made.run_id]:
        return same("run found by its tag", written=[made.run_id], read=ids)
    kib = len(answer.exchange.body) >> 10
    return first_red(_run_findings(answer, found[0], context), f"run found by its tag, and read whole ({kib} KiB)")


def metric_history(context: Context) -> Finding:
    """The metric's history reads back equal."""
    # Without max_results MLflow 3.4.0 answers an empty page (measured).
    answer = context.get(
        "metrics/get-history", run_id=context.created.run_id, metric_key="loss", max_results=100, fresh=True
    )
    read = sorted((item.get("step", 0), item.get("value")) for item in answer.items("metrics"))
    return same(f"history of {len(SERIES)} values read back", written=list(SERIES), read=read)


def registered_models(context: Context) -> Finding:
    """The model registry answers."""
    found = context.get("registered-models/search", max_results=1).items("registered_models")
    return passed("the registry answers" if found else "the registry answers, and is empty")


def repeated(sentence: str) -> Finding:
    """A POST that was sent once was carried out twice."""
    return failed(
        sentence,
        code="request-repeated",
        cause="Something in front sends a POST twice: a retry after a slow or lost answer, a mirror.",
        next_step="Let the front repeat GET and HEAD only (nginx: proxy_next_upstream without non_idempotent).",
    )


def _run_findings(answer: Answer, run: object, context: Context) -> list[Finding]:
    """Compare one run of an answer, part by part."""
    one = Answer(exchange=answer.exchange, document={"run": run}, fresh=answer.fresh)
    tags = {"text": TEXT, "batch": TEXT}
    read_tags = pairs(one.items("run", "data", "tags"))
    metrics = {"loss": SERIES[-1][1], **MANY, **{key: _number(value) for key, value in ODD.items()}}
    read_metrics = {key: _number(value) for key, value in pairs(one.items("run", "data", "metrics")).items()}
    params = pairs(one.items("run", "data", "params"))
    return [
        same("status of the run", written="FINISHED", read=one.text("run", "info", "status")),
        same("parameters", written={"probe": context.created.name, "batch": TEXT}, read=params),
        same("tags of the run", written=tags, read={key: read_tags.get(key) for key in tags}),
        same("metrics", written=metrics, read=read_metrics),
        same("inputs of the run", written=[(DATASET, TEXT)], read=_inputs(one)),
    ]


def _inputs(one: Answer) -> list[tuple[dict[str, Any], object]]:
    found = []
    for item in one.items("run", "inputs", "dataset_inputs"):
        dataset, tags = item.get("dataset"), item.get("tags", [])
        kept = {key: dataset.get(key) for key in DATASET} if isinstance(dataset, dict) else {}
        found.append((kept, pairs(tags).get(CONTEXT_TAG) if isinstance(tags, list) else None))
    return found


def _number(value: object) -> object:
    """A metric's value so that it can be compared: databases keep infinity as the largest number that they have."""
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return value
    if math.isnan(number):
        return "NaN"
    return number if abs(number) < sys.float_info.max else math.copysign(math.inf, number)


def _default_warning(sentence: str, cause: str) -> Finding:
    return warned(
        f"{sentence}: clients that name no experiment fail, or need a key to that store",
        code="default-experiment",
        cause=cause,
        next_step="Restore it (MlflowClient().restore_experiment('0')), or let every client name its experiment.",
    )


def _kept_by(location: str) -> str:
    scheme = urlsplit(location).scheme or "file"
    return "the server" if scheme in {"mlflow-artifacts", "http", "https"} else f"{scheme}://"


def _remove_experiment(context: Context) -> None:
    made = context.created
    if not made.experiment_id:
        exchange = context.send(Request("GET", f"{REST}/experiments/get-by-name", query={"experiment_name": made.name}))
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
