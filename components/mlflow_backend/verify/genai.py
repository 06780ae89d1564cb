"""Checks of what MLflow 3 added: logged models and traces. Older servers do not have them, and the skip says so."""

from __future__ import annotations

import secrets
import time
from typing import TYPE_CHECKING, Final

from mlflow_backend.verify.answers import Answer, same
from mlflow_backend.verify.context import REST, REST_3
from mlflow_backend.verify.model import Finding, Request, skipped

if TYPE_CHECKING:
    from mlflow_backend.verify.context import Context

LOGGED_MODELS_SINCE: Final = (3, 0)
TRACES_SINCE: Final = (3, 2)
"""MLflow's own client falls back to an older API for servers before this."""


def logged_model(context: Context) -> Finding:
    """A logged model can be made, found and deleted."""
    if not _has(context, LOGGED_MODELS_SINCE):
        return skipped(f"MLflow {context.shared.served_version} has no logged models")
    made = context.created
    payload = {"experiment_id": made.experiment_id, "name": "probe", "source_run_id": made.run_id}
    model_id = context.post("logged-models", payload, fresh=True).text("model", "info", "model_id")
    one = f"{REST}/logged-models/{model_id}"
    name = f"{REST}/logged-models/*"
    Answer.of(
        context.send(Request("PATCH", one, endpoint=name, json={"model_id": model_id, "status": "LOGGED_MODEL_READY"})),
        fresh=True,
    )
    status = Answer.of(context.send(Request("GET", one, endpoint=name)), fresh=True).text("model", "info", "status")
    search = {"experiment_ids": [made.experiment_id], "max_results": 5}
    found = [_id_of(item) for item in context.post("logged-models/search", search, fresh=True).items("models")]
    Answer.of(context.send(Request("DELETE", one, endpoint=name)), fresh=True)
    return same(
        "logged model made, found and deleted", written=("LOGGED_MODEL_READY", [model_id]), read=(status, found)
    )


def trace(context: Context) -> Finding:
    """A trace can be written, found and deleted."""
    if not _has(context, TRACES_SINCE):
        return skipped(f"MLflow {context.shared.served_version} has no traces in the present form")
    experiment_id = context.created.experiment_id
    trace_id = f"tr-{secrets.token_hex(16)}"
    location = {"type": "MLFLOW_EXPERIMENT", "mlflow_experiment": {"experiment_id": experiment_id}}
    info = {
        "trace_id": trace_id,
        "trace_location": location,
        "request_time": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "execution_duration": "0.010s",
        "state": "OK",
    }
    Answer.of(context.send(Request("POST", f"{REST_3}/traces", json={"trace": {"trace_info": info}})), fresh=True)
    get = Request("GET", f"{REST_3}/traces/{trace_id}", endpoint=f"{REST_3}/traces/*")
    one = Answer.of(context.send(get), fresh=True)
    search = {"locations": [location], "max_results": 5}
    found = Answer.of(context.send(Request("POST", f"{REST_3}/traces/search", json=search)), fresh=True).items("traces")
    context.post("traces/delete-traces", {"experiment_id": experiment_id, "request_ids": [trace_id]}, fresh=True)
    read = (one.text("trace", "trace_info", "trace_id"), [item.get("trace_id") for item in found])
    return same("trace written, found and deleted", written=(trace_id, [trace_id]), read=read)


def _has(context: Context, since: tuple[int, int]) -> bool:
    served = (context.shared.served_version or "0.0").split(".")
    return (int(served[0]), int(served[1])) >= since


def _id_of(item: dict[str, object]) -> object:
    info = item.get("info")
    return info.get("model_id") if isinstance(info, dict) else None
