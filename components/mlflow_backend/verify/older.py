"""Checks that read what users wrote long ago: the oldest runs, and a file of one of them. They write nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from mlflow_backend.verify.answers import Answer
from mlflow_backend.verify.artifacts import ROUTE
from mlflow_backend.verify.model import Exchange, Finding, Request, Unexpected, failed, passed, skipped
from mlflow_backend.verify.tracking import PREFIX

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow_backend.verify.context import Context

NOT_FOUND: Final = 404
EXPERIMENTS: Final = 20
"""The oldest experiments that are looked through."""
RUNS: Final = 3
"""The oldest runs that are looked at for an artifact."""
FOLDERS: Final = 3
LARGEST: Final = 1 << 20
"""Bytes of the largest file that is read: the store is shown to answer, its bandwidth is not."""


def old_run(context: Context) -> Finding:
    """The oldest run that users have is read back with its parts."""
    for run in _oldest_runs(context):
        run_id = str(run["info"]["run_id"])
        exchange = context.send(Request("GET", "/api/2.0/mlflow/runs/get", query={"run_id": run_id}))
        if exchange.status == NOT_FOUND:
            continue  # deleted for good since it was listed
        found = Answer.of(exchange)
        if found.text("run", "info", "run_id") != run_id:
            raise Unexpected(exchange)
        count = sum(len(found.items("run", "data", part)) for part in ("metrics", "params", "tags"))
        return passed(f"run {run_id} of earlier is read back, with {count} metrics, parameters and tags")
    return skipped("there is no run of earlier")


def old_artifact(context: Context) -> Finding:
    """A small artifact of one of the oldest runs is read back in the size that the store lists."""
    for run in _oldest_runs(context):
        root = urlsplit(str(run["info"].get("artifact_uri", "")))
        if root.scheme != "mlflow-artifacts":
            continue
        for file in _files(context, str(run["info"]["run_id"])):
            path = f"{root.path.strip('/')}/{file['path']}"
            exchange = context.send(Request("GET", f"{ROUTE}/{quote(path)}", endpoint=f"{ROUTE}/* (older)"))
            if exchange.status == NOT_FOUND:
                continue  # the same
            return _compared(exchange, int(file["file_size"]))
    return skipped("no run of earlier has a small artifact behind the server")


def _compared(exchange: Exchange, size: int) -> Finding:
    if not exchange.ok:
        raise Unexpected(exchange)
    if len(exchange.body) != size:
        return failed(
            f"an artifact of {size} bytes came back with {len(exchange.body)}",
            code="artifact-changed",
            cause="The store lost or changed what users keep there, or something in front cuts answers.",
            next_step="Read the object in the store itself, and restore an older version of it.",
        )
    return passed(f"an artifact of earlier is read back, {size} bytes as listed")


def _oldest_runs(context: Context) -> list[dict[str, Any]]:
    listed = context.post(
        "experiments/search",
        {"max_results": EXPERIMENTS, "order_by": ["creation_time ASC"], "view_type": "ACTIVE_ONLY"},
    )
    wanted = [
        str(item["experiment_id"])
        for item in listed.items("experiments")
        if not str(item.get("name", "")).startswith(PREFIX)
    ]
    if not wanted:
        return []
    query = {"experiment_ids": wanted, "max_results": RUNS, "order_by": ["attributes.start_time ASC"]}
    return context.post("runs/search", query).items("runs")


def _files(context: Context, run_id: str) -> Iterator[dict[str, Any]]:
    """Yield small files of a run: those at its root first, then those right below its first folders."""
    listed = context.get("artifacts/list", run_id=run_id).items("files")
    yield from _small(listed)
    for folder in [item for item in listed if item.get("is_dir")][:FOLDERS]:
        yield from _small(context.get("artifacts/list", run_id=run_id, path=folder["path"]).items("files"))


def _small(listed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return [item for item in listed if not item.get("is_dir") and 0 < int(item.get("file_size") or 0) <= LARGEST]
