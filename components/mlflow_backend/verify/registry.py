"""Checks of the model registry, in the order of a model's life: made, described, named by alias, moved, deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend.verify.answers import Answer, first_red, pairs, same
from mlflow_backend.verify.context import REST
from mlflow_backend.verify.model import Finding, Request, Unexpected, passed
from mlflow_backend.verify.tracking import NOT_FOUND, TAG, TEXT, repeated

if TYPE_CHECKING:
    from mlflow_backend.verify.context import Context

ALIAS = "champion"


def model(context: Context) -> Finding:
    """A model and a version of it can be registered."""
    made = context.created
    made.model_undo = context.undo_later("registered model", _remove_model)
    text = {"key": "text", "value": TEXT}
    tags = [{"key": TAG, "value": str(made.abandoned_at)}, text]
    context.post("registered-models/create", {"name": made.model_name, "tags": tags})
    version = {
        "name": made.model_name,
        # MLflow accepts a source behind the server only inside the run that it names.
        "source": f"{made.artifact_root}/model",
        "run_id": made.run_id,
        "description": TEXT,
        "tags": [text],
    }
    made.model_version = context.post("model-versions/create", version, fresh=True).text("model_version", "version")
    return passed("model and version registered")


def model_update(context: Context) -> Finding:
    """A model can be described, and reads back with its tags, its alias and its one version."""
    made = context.created
    context.patch("registered-models/update", {"name": made.model_name, "description": TEXT}, fresh=True)
    alias = {"name": made.model_name, "alias": ALIAS, "version": made.model_version}
    context.post("registered-models/alias", alias, fresh=True)
    answer = context.get("registered-models/get", name=made.model_name, fresh=True)
    described = answer.document.get("registered_model", {})
    latest = [str(item.get("version")) for item in answer.items("registered_model", "latest_versions")]
    if versions := {made.model_version, *latest} - {"1"}:
        return repeated(f"one version of a new model was registered, version {versions.pop()} is there")
    return first_red(
        (
            same("description of the model", written=TEXT, read=described.get("description")),
            same("tags of the model", written=TEXT, read=_text(answer, "registered_model")),
            same(
                "aliases of the model",
                written={ALIAS: made.model_version},
                read={item.get("alias"): item.get("version") for item in answer.items("registered_model", "aliases")},
            ),
        ),
        "model described and read back with tags and alias",
    )


def model_alias(context: Context) -> Finding:
    """A version is found by its alias, and reads back with its tags; an alias can be taken away."""
    made = context.created
    answer = context.get("registered-models/alias", fresh=True, name=made.model_name, alias=ALIAS)
    described = answer.document.get("model_version", {})
    finding = first_red(
        (
            same("version by its alias", written=made.model_version, read=answer.text("model_version", "version")),
            same("description of the version", written=TEXT, read=described.get("description")),
            same("tags of the version", written=TEXT, read=_text(answer, "model_version")),
        ),
        "version found by its alias, with its tags",
    )
    context.delete("registered-models/alias", {"name": made.model_name, "alias": ALIAS}, fresh=True)
    return finding


def model_stage(context: Context) -> Finding:
    """A version can be moved to another stage."""
    made = context.created
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
    made = context.created
    version = {"name": made.model_name, "version": made.model_version}
    context.delete("model-versions/delete", version, fresh=True)
    context.delete("registered-models/delete", {"name": made.model_name}, fresh=True)
    if made.model_undo is not None:
        context.undone(made.model_undo)
    exchange = context.send(Request("GET", f"{REST}/registered-models/get", query={"name": made.model_name}))
    if exchange.trouble is not None:
        raise Unexpected(exchange)
    return same("model deleted, and gone", written=NOT_FOUND, read=exchange.status)


def _text(answer: Answer, thing: str) -> object:
    return pairs(answer.items(thing, "tags")).get("text")


def _remove_model(context: Context) -> None:
    remove_model(context, context.created.model_name)


def remove_model(context: Context, name: str) -> None:
    """Delete a registered model with its versions, if it is there.

    Raises `Unexpected`.
    """
    exchange = context.send(Request("GET", f"{REST}/registered-models/get", query={"name": name}))
    if exchange.status != NOT_FOUND:
        context.delete("registered-models/delete", {"name": name}, fresh=True)
