"""A small HTTP server that answers as MLflow's REST API does, with faults to inject: for tests of the runner.

It stands in for nothing under proof: what real servers answer is proved by the engine tests, and this one repeats it.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

from tests.loopback_http import LoopbackServer

if TYPE_CHECKING:
    from collections.abc import Callable

REST = "/api/2.0/mlflow/"
STORE = "/api/2.0/mlflow-artifacts/artifacts"


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request as the server got it."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> dict[str, Any]:
        """The body as JSON."""
        return dict(json.loads(self.body or b"{}"))

    @property
    def json_or_nothing(self) -> dict[str, Any]:
        """The body as JSON; empty if it is none."""
        try:
            return self.json
        except ValueError:
            return {}

    @property
    def experiment(self) -> object:
        """The experiment that the body names, if it is JSON and names one."""
        return self.json_or_nothing.get("experiment_id")


@dataclass(frozen=True, kw_only=True)
class Reply:
    """One answer. `length` announces another length than the body's; `hold` is waited for before answering."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    hold: threading.Event | None = None


def as_json(document: object, status: int = 200) -> Reply:
    """A JSON answer."""
    return Reply(status=status, body=json.dumps(document).encode(), headers={"Content-Type": "application/json"})


def error(status: int, code: str, message: str = "") -> Reply:
    """An error in MLflow's shape."""
    return as_json({"error_code": code, "message": message}, status)


MISSING = error(404, "RESOURCE_DOES_NOT_EXIST")


def matches(wanted: str, name: str) -> bool:
    """Whether a name is what MLflow's filters `name = 'x'` and `name LIKE 'x%'` ask for."""
    _, operator, text = wanted.split(" ", 2)
    text = text.strip("'")
    return name.startswith(text.removesuffix("%")) if operator == "LIKE" else name == text


class FakeMLflow:
    """The server. `fault` sees each request first and answers it, or leaves it to the regular answer with None."""

    def __init__(self) -> None:
        self.version = "3.17.2"
        self.fault: Callable[[Asked], Reply | None] = lambda _asked: None
        self.asked: list[Asked] = []
        self.clock_offset_s = 0.0
        self.date_offset_s = 0.0
        self.experiments: dict[str, dict[str, Any]] = {}
        self.runs: dict[str, dict[str, Any]] = {}
        self.artifacts: dict[str, bytes] = {}
        self.models: dict[str, dict[str, Any]] = {}
        self.default = {"experiment_id": "0", "lifecycle_stage": "active", "artifact_location": "mlflow-artifacts:/0"}
        self._lock = threading.Lock()
        self._server = LoopbackServer(self._handler())
        self.url = self._server.url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def _now_ms(self) -> int:
        return int((time.time() + self.clock_offset_s) * 1000)

    def models_search(self, wanted: str) -> list[dict[str, Any]]:
        """The registered models that a filter asks for."""
        return [model for name, model in self.models.items() if matches(wanted, name)]

    def alive(self, kind: str) -> list[str]:
        """The ids of the experiments or runs that are not deleted."""
        return [key for key, item in getattr(self, kind).items() if not item.get("deleted")]

    def reply(self, asked: Asked) -> Reply:
        """Answer one request."""
        with self._lock:
            self.asked.append(asked)
            return self.fault(asked) or self._regular(asked)

    def _regular(self, asked: Asked) -> Reply:
        if asked.path == "/health":
            return Reply(body=b"OK", headers={"Content-Type": "text/plain"})
        if asked.path == "/version":
            return Reply(body=self.version.encode(), headers={"Content-Type": "text/html"})
        if asked.path == "/":
            return Reply(body=b'<!doctype html><script defer src="static-files/main.js"></script>')
        if asked.path == "/static-files/main.js":
            return Reply(body=b"let mlflow = 1;", headers={"Content-Type": "text/javascript"})
        if asked.path.startswith(STORE):
            return self._stored(asked)
        call = asked.path.removeprefix(REST).replace("/", "_").replace("-", "_")
        answer = getattr(self, f"_{call}", None)
        return answer(asked) if answer else error(404, "ENDPOINT_NOT_FOUND")

    def _stored(self, asked: Asked) -> Reply:
        name = unquote(asked.path.removeprefix(STORE)).strip("/")
        if asked.method == "PUT":
            self.artifacts[name] = asked.body
        elif asked.method == "DELETE":
            self.artifacts = {key: body for key, body in self.artifacts.items() if not f"{key}/".startswith(f"{name}/")}
        elif name:
            found = self.artifacts.get(name)
            return error(500, "INTERNAL_ERROR") if found is None else Reply(body=found)
        return as_json({})

    def _experiments_search(self, asked: Asked) -> Reply:
        wanted = (asked.json if asked.body else {}).get("filter", "name LIKE '%'")
        found = [
            item for item in self.experiments.values() if not item.get("deleted") and matches(wanted, item["name"])
        ]
        return as_json({"experiments": found})

    def _experiments_create(self, asked: Asked) -> Reply:
        key = str(len(self.experiments) + 1)
        self.experiments[key] = {"experiment_id": key, "creation_time": self._now_ms(), **asked.json}
        return as_json({"experiment_id": key})

    def _experiments_get(self, asked: Asked) -> Reply:
        key = asked.query["experiment_id"]
        return as_json({"experiment": self.default if key == "0" else self.experiments[key]})

    def _experiments_get_by_name(self, asked: Asked) -> Reply:
        for item in self.experiments.values():
            if item["name"] == asked.query["experiment_name"]:
                return as_json({"experiment": item})
        return error(404, "RESOURCE_DOES_NOT_EXIST")

    def _experiments_delete(self, asked: Asked) -> Reply:
        self.experiments[asked.json["experiment_id"]]["deleted"] = True
        return as_json({})

    def _runs_create(self, asked: Asked) -> Reply:
        key = f"{len(self.runs) + 1:032x}"
        root = f"mlflow-artifacts:/{asked.json['experiment_id']}/{key}/artifacts"
        info = {"run_id": key, "artifact_uri": root, "status": "RUNNING", "experiment_id": asked.json["experiment_id"]}
        tags = {item["key"]: item["value"] for item in asked.json.get("tags", [])}
        self.runs[key] = {"info": info, "params": {}, "metrics": [], "tags": tags}
        return as_json({"run": {"info": info}})

    def _runs_log_metric(self, asked: Asked) -> Reply:
        metric = {key: value for key, value in asked.json.items() if key != "run_id"}
        self._log(self.runs[asked.json["run_id"]], [metric])
        return as_json({})

    @staticmethod
    def _log(run: dict[str, Any], metrics: list[dict[str, Any]]) -> None:
        run["metrics"] += [metric for metric in metrics if metric not in run["metrics"]]

    def _runs_log_parameter(self, asked: Asked) -> Reply:
        self.runs[asked.json["run_id"]]["params"][asked.json["key"]] = asked.json["value"]
        return as_json({})

    def _runs_log_batch(self, asked: Asked) -> Reply:
        run = self.runs[asked.json["run_id"]]
        self._log(run, asked.json["metrics"])
        for kind in ("params", "tags"):
            run[kind].update({item["key"]: item["value"] for item in asked.json.get(kind, [])})
        return as_json({})

    def _runs_log_inputs(self, asked: Asked) -> Reply:
        self.runs[asked.json["run_id"]]["inputs"] = asked.json["datasets"]
        return as_json({})

    def _runs_set_tag(self, asked: Asked) -> Reply:
        self.runs[asked.json["run_id"]].setdefault("tags", {})[asked.json["key"]] = asked.json["value"]
        return as_json({})

    def _runs_update(self, asked: Asked) -> Reply:
        self.runs[asked.json["run_id"]]["info"]["status"] = asked.json["status"]
        return as_json({})

    def _runs_delete(self, asked: Asked) -> Reply:
        self.runs[asked.json["run_id"]]["deleted"] = True
        return as_json({})

    def _runs_get(self, asked: Asked) -> Reply:
        return as_json({"run": self._run(asked.query["run_id"])})

    def _runs_search(self, asked: Asked) -> Reply:
        wanted = asked.json.get("filter", "").removeprefix("tags.text = ").strip("'")
        found = [
            self._run(key)
            for key, run in self.runs.items()
            if not run.get("deleted")
            and run["info"].get("experiment_id") in asked.json["experiment_ids"]
            and wanted in {"", run.get("tags", {}).get("text")}
        ]
        return as_json({"runs": found})

    def _metrics_get_history(self, asked: Asked) -> Reply:
        key = asked.query["metric_key"]
        return as_json(
            {"metrics": [item for item in self.runs[asked.query["run_id"]]["metrics"] if item["key"] == key]}
        )

    def _registered_models_search(self, asked: Asked) -> Reply:
        return as_json({"registered_models": self.models_search(asked.query.get("filter", "name LIKE '%'"))})

    def _registered_models_create(self, asked: Asked) -> Reply:
        self.models[asked.json["name"]] = {**asked.json, "aliases": [], "latest_versions": []}
        return as_json({"registered_model": {"name": asked.json["name"]}})

    def _registered_models_update(self, asked: Asked) -> Reply:
        self.models[asked.json["name"]]["description"] = asked.json["description"]
        return as_json({"registered_model": {}})

    def _registered_models_get(self, asked: Asked) -> Reply:
        found = self.models.get(asked.query["name"])
        return as_json({"registered_model": found}) if found else MISSING

    def _registered_models_delete(self, asked: Asked) -> Reply:
        return as_json({}) if self.models.pop(asked.json["name"], None) else MISSING

    def _registered_models_alias(self, asked: Asked) -> Reply:
        if asked.method == "GET":
            model = self.models[asked.query["name"]]
            wanted = [item["version"] for item in model["aliases"] if item["alias"] == asked.query["alias"]]
            found = [item for item in model["latest_versions"] if item["version"] in wanted]
            return as_json({"model_version": found[0]}) if found else MISSING
        model = self.models[asked.json["name"]]
        model["aliases"] = [item for item in model["aliases"] if item["alias"] != asked.json["alias"]]
        if asked.method == "POST":
            model["aliases"].append({"alias": asked.json["alias"], "version": asked.json["version"]})
        return as_json({})

    def _model_versions_create(self, asked: Asked) -> Reply:
        version = {**asked.json, "version": "1"}
        self.models[asked.json["name"]]["latest_versions"] = [version]
        return as_json({"model_version": version})

    def _run(self, key: str) -> dict[str, Any]:
        run = self.runs[key]
        latest = {item["key"]: item for item in sorted(run["metrics"], key=lambda item: item["step"])}
        params = [{"key": name, "value": value} for name, value in run["params"].items()]
        tags = [{"key": name, "value": value} for name, value in run.get("tags", {}).items()]
        data = {"params": params, "metrics": list(latest.values()), "tags": tags}
        return {"info": run["info"], "data": data, "inputs": {"dataset_inputs": run.get("inputs", [])}}

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        fake = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            # Without it each answer waits 40 ms for the client's delayed acknowledgement of its head.
            wbufsize = -1
            disable_nagle_algorithm = True

            def _answer(self) -> None:
                parts = urlsplit(self.path)
                asked = Asked(
                    method=self.command,
                    path=parts.path,
                    query={key: values[0] for key, values in parse_qs(parts.query).items()},
                    headers={name.lower(): value for name, value in self.headers.items()},
                    body=self.rfile.read(int(self.headers.get("Content-Length", 0))),
                )
                reply = fake.reply(asked)
                if reply.hold is not None:
                    reply.hold.wait()
                self.send_response_only(reply.status)
                self.send_header("Date", formatdate(time.time() + fake.date_offset_s, usegmt=True))
                for name, value in reply.headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body) if reply.length is None else reply.length))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(reply.body)
                self.close_connection = reply.length is not None

            do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = _answer  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None:
                """Keep the test's output quiet."""

        return Handler
