"""The fake server with what the profile `full` asks for besides: the model registry, logged models and traces."""

from __future__ import annotations

from typing import Any

from tests.components.verify.fake_mlflow import REST, STORE, Asked, FakeMLflow, Reply, as_json

TRACES = "/api/3.0/mlflow/traces"


class FullMLflow(FakeMLflow):
    """A server of MLflow 3."""

    def __init__(self) -> None:
        super().__init__()
        self.logged: dict[str, dict[str, Any]] = {}
        self.traces: dict[str, dict[str, Any]] = {}

    def _regular(self, asked: Asked) -> Reply:
        if asked.path.startswith(TRACES):
            return self._traced(asked)
        if asked.path.startswith(f"{REST}logged-models"):
            return self._logged(asked)
        if asked.path == STORE and asked.method == "GET":
            return as_json({"files": [{"path": name} for name in self._files(asked.query.get("path", ""))]})
        return super()._regular(asked)

    def _files(self, folder: str) -> list[str]:
        """The names right in a folder, those of folders among them."""
        inside = [name.removeprefix(f"{folder}/") for name in self.artifacts if name.startswith(f"{folder}/")]
        return sorted({name.partition("/")[0] for name in inside})

    def _artifacts_list(self, asked: Asked) -> Reply:
        root = self.runs[asked.query["run_id"]]["info"]["artifact_uri"].partition(":/")[2]
        below = {name.removeprefix(f"{root}/"): len(body) for name, body in self.artifacts.items()}
        folder = asked.query["path"]
        files = [{"path": name, "file_size": size} for name, size in below.items() if name.startswith(f"{folder}/")]
        return as_json({"files": files})

    def _model_versions_transition_stage(self, asked: Asked) -> Reply:
        return as_json({"model_version": {"version": "1", "current_stage": asked.json["stage"]}})

    def _model_versions_delete(self, _asked: Asked) -> Reply:
        return as_json({})

    def _logged(self, asked: Asked) -> Reply:
        name = asked.path.removeprefix(f"{REST}logged-models").strip("/")
        if name == "search":
            return as_json({"models": [{"info": info} for info in self.logged.values()]})
        if not name:
            self.logged["m-1"] = {"model_id": "m-1", "status": "LOGGED_MODEL_PENDING"}
            return as_json({"model": {"info": self.logged["m-1"]}})
        if asked.method == "PATCH":
            self.logged[name]["status"] = asked.json["status"]
        info = self.logged.pop(name) if asked.method == "DELETE" else self.logged[name]
        return as_json({"model": {"info": info}})

    def _traced(self, asked: Asked) -> Reply:
        name = asked.path.removeprefix(TRACES).strip("/")
        if name == "search":
            return as_json({"traces": list(self.traces.values())})
        if not name:
            info = asked.json["trace"]["trace_info"]
            self.traces[info["trace_id"]] = info
            return as_json({"trace": {"trace_info": info}})
        return as_json({"trace": {"trace_info": self.traces[name]}})

    def _traces_delete_traces(self, asked: Asked) -> Reply:
        for name in asked.json["request_ids"]:
            self.traces.pop(name)
        return as_json({"traces_deleted": 1})
