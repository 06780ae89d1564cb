"""The removal of what earlier verifications left: those that were killed, or whose server went away before cleanup.

A leftover is known by the reserved prefix and by a tag that says from when on it is abandoned, so that a verification
that runs beside this one is never disturbed. MLflow only marks experiments as deleted; maintenance removes those of
verifications for good, whenever it runs.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote

from mlflow_backend.verify.answers import Answer, pairs
from mlflow_backend.verify.artifacts import ROUTE
from mlflow_backend.verify.causes import describe
from mlflow_backend.verify.model import Finding, Request, Unexpected, passed, skipped
from mlflow_backend.verify.registry import remove_model
from mlflow_backend.verify.tracking import PREFIX, TAG

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend.verify.context import Context

MOST: Final = 20
"""Leftovers that one sweep removes of each kind: the next takes the rest."""


def sweep(context: Context) -> Finding:
    """What verifications left behind is removed."""
    try:
        left, lost = _leftovers(context)
    except Unexpected as unexpected:
        # Whether older leftovers are there says nothing about the backend as it is now.
        return skipped(f"what was left behind cannot be read: {describe(unexpected.exchange)}")
    failures = 0
    for name in lost:
        failures += _tried(remove_model, context, name)
    for experiment_id in left:
        failures += _tried(_remove_experiment, context, experiment_id)
    if failures:
        return skipped(f"{failures} of {len(left) + len(lost)} leftovers of earlier verifications could not be removed")
    return passed(
        f"{len(left) + len(lost)} leftovers of earlier verifications removed" if left or lost else "nothing left behind"
    )


def _leftovers(context: Context) -> tuple[list[str], list[str]]:
    experiments = context.post("experiments/search", {"max_results": MOST, "filter": f"name LIKE '{PREFIX}/%'"})
    models = context.get("registered-models/search", filter=f"name LIKE '{PREFIX}-%'", max_results=MOST)
    return (
        [str(item.get("experiment_id")) for item in experiments.items("experiments") if _abandoned(item)],
        [str(item.get("name")) for item in models.items("registered_models") if _abandoned(item)],
    )


def _abandoned(item: dict[str, Any]) -> bool:
    tags = item.get("tags")
    value = str(pairs(tags).get(TAG, "")) if isinstance(tags, list) else ""
    return value.isdigit() and int(value) < time.time()


def _tried(remove: Callable[[Context, str], None], context: Context, name: str) -> int:
    try:
        remove(context, name)
    except Unexpected:
        return 1
    return 0


def _remove_experiment(context: Context, experiment_id: str) -> None:
    runs = context.post("runs/search", {"experiment_ids": [experiment_id], "max_results": MOST}).items("runs")
    for run in runs:
        run_id = str(run.get("info", {}).get("run_id"))
        _remove_artifacts(context, f"{experiment_id}/{run_id}/artifacts")
        context.post("runs/delete", {"run_id": run_id})
    context.post("experiments/delete", {"experiment_id": experiment_id})


def _remove_artifacts(context: Context, folder: str) -> None:
    exchange = context.send(Request("GET", ROUTE, query={"path": folder}))
    if not exchange.ok:
        return
    for item in Answer.of(exchange).items("files"):
        context.send(
            Request("DELETE", f"{ROUTE}/{quote(folder)}/{quote(str(item.get('path')))}", endpoint=f"{ROUTE}/*")
        )
