"""Checks of the model registry, in the order of a model's life: made, named by alias, moved, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from components.verify.answers import same
from components.verify.context import REST
from components.verify.model import Finding, Unexpected, passed
from components.verify.tracking import NOT_FOUND, TAG

if TYPE_CHECKING:
    from components.verify.context import Context


def model(context: Context) -> Finding:
    """A model and a version of it can be registered."""
    made = context.made
    made.model_undo = context.undo_later("registered model", _remove_model)
    tags = [{"key": TAG, "value": str(made.abandoned_at)}]
    context.post("registered-models/create", {"name": made.model_name, "tags": tags})
    # MLflow accepts a source behind the server only inside the run that it names.
    version = {"name": made.model_name, "source": f"{made.artifact_root}/model", "run_id": made.run_id}
    made.model_version = context.post("model-versions/create", version, fresh=True).text("model_version", "version")
    return passed("model and version registered")


def model_alias(context: Context) -> Finding:
    """A version is found by its aliases."""
    name, version = context.made.model_name, context.made.model_version
    for alias in ("champion", "challenger"):
        context.post("registered-models/alias", {"name": name, "alias": alias, "version": version}, fresh=True)
    found = [
        context.get("registered-models/alias", fresh=True, name=name, alias=alias).text("model_version", "version")
        for alias in ("champion", "challenger")
    ]
    finding = same("version found by alias champion and challenger", written=[version, version], read=found)
    context.delete("registered-models/alias", {"name": name, "alias": "challenger"}, fresh=True)
    return finding


def model_stage(context: Context) -> Finding:
    """A version can be moved to another stage."""
    made = context.made
    move = {
        "name": made.model_name,
        "version": made.model_version,
        "stage": "Staging",
        "archive_existing_versions": False,
    }
    answer = context.post("model-versions/transition-stage", move, fresh=True)
    return same("version moved to a stage", written="Staging", read=answer.text("model_version", "current_stage"))


def model_delete(context: Context) -> Finding:
    """A version and its model can be deleted, and are gone."""
    made = context.made
    version = {"name": made.model_name, "version": made.model_version}
    context.delete("model-versions/delete", version, fresh=True)
    context.delete("registered-models/delete", {"name": made.model_name}, fresh=True)
    if made.model_undo is not None:
        context.undone(made.model_undo)
    exchange = context.send("GET", f"{REST}/registered-models/get", query={"name": made.model_name})
    if exchange.trouble is not None:
        raise Unexpected(exchange)
    return same("model deleted, and gone", written=NOT_FOUND, read=exchange.status)


def _remove_model(context: Context) -> None:
    remove_model(context, context.made.model_name)


def remove_model(context: Context, name: str) -> None:
    """Delete a registered model with its versions, if it is there.

    Raises `Unexpected`.
    """
    exchange = context.send("GET", f"{REST}/registered-models/get", query={"name": name})
    if exchange.status != NOT_FOUND:
        context.delete("registered-models/delete", {"name": name}, fresh=True)
