"""All that MLflow's API says of what users wrote, by which a restored backend is compared with the original."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlflow_backend.verify.tracking import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable


def contents_of(call: Callable[..., dict[str, Any]]) -> dict[str, Any]:
    """Return users' experiments, runs and models; `call` takes a path of the API, and a body."""
    found = call("experiments/search", {"max_results": 1000, "view_type": "ALL"})["experiments"]
    own = {each["experiment_id"]: each for each in found if not each["name"].startswith(PREFIX)}
    runs = call("runs/search", {"experiment_ids": list(own), "max_results": 1000, "run_view_type": "ALL"})
    models = call("registered-models/search?max_results=100")
    versions = call("model-versions/search?max_results=100")
    return {
        "experiments": own,
        "runs": {each["info"]["run_id"]: each for each in runs.get("runs", [])},
        "models": models.get("registered_models", []),
        "versions": versions.get("model_versions", []),
    }
