"""A small HTTP server that answers as MLflow's REST API does, with faults to inject: for tests of the runner.

It stands in for nothing under proof: what real servers answer is proved by the engine tests, and this one repeats it.
"""

from __future__ import annotations

import json
import threading
import time
from dataclasses import dataclass, field
from email.utils import formatdate
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import parse_qs, unquote, urlsplit

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
    def experiment(self) -> object:
        """The experiment that the body names, if it is JSON and names one."""
        try:
            return self.json.get("experiment_id")
        except ValueError:
            return None


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
        self._lock = threading.Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _now_ms(self) -> int:
        return int((time.time() + self.clock_offset_s) * 1000)

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
        return as_json({"experiment": self.experiments[asked.query["experiment_id"]]})

    def _experiments_get_by_name(self, asked: Asked) -> Reply:
        for item in self.experiments.values():
            if item["name"] == asked.query["experiment_name"]:
                return as_json({"experiment": item})
        return error(404, "RESOURCE_DOES_NOT_EXIST")

    def _experiments_delete(self, asked: Asked) -> Reply:
        self.experiments[asked.json["experiment_id"]]["deleted"] = True
        return as_json({})

    def _runs_create(self, asked: Asked) -> Reply:
        key = f"run{len(self.runs) + 1}"
        root = f"mlflow-artifacts:/{asked.json['experiment_id']}/{key}/artifacts"
        info = {"run_id": key, "artifact_uri": root, "status": "RUNNING", "experiment_id": asked.json["experiment_id"]}
        self.runs[key] = {"info": info, "params": {}, "metrics": []}
        return as_json({"run": {"info": info}})

    def _runs_log_metric(self, asked: Asked) -> Reply:
        self.runs[asked.json["run_id"]]["metrics"].append(asked.json)
        return as_json({})

    def _runs_log_parameter(self, asked: Asked) -> Reply:
        self.runs[asked.json["run_id"]]["params"][asked.json["key"]] = asked.json["value"]
        return as_json({})

    def _runs_log_batch(self, asked: Asked) -> Reply:
        run = self.runs[asked.json["run_id"]]
        run["metrics"] += asked.json["metrics"]
        run["params"].update({item["key"]: item["value"] for item in asked.json["params"]})
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
        wanted = asked.json.get("filter", "").removeprefix("params.probe = ").strip("'")
        found = [
            self._run(key)
            for key, run in self.runs.items()
            if not run.get("deleted")
            and run["info"].get("experiment_id") in asked.json["experiment_ids"]
            and wanted in {"", run["params"].get("probe")}
        ]
        return as_json({"runs": found})

    def _metrics_get_history(self, asked: Asked) -> Reply:
        return as_json({"metrics": self.runs[asked.query["run_id"]]["metrics"]})

    def _registered_models_search(self, _asked: Asked) -> Reply:
        return as_json({})

    def _run(self, key: str) -> dict[str, Any]:
        run = self.runs[key]
        latest = {item["key"]: item for item in sorted(run["metrics"], key=lambda item: item["step"])}
        params = [{"key": name, "value": value} for name, value in run["params"].items()]
        tags = [{"key": name, "value": value} for name, value in run.get("tags", {}).items()]
        return {"info": run["info"], "data": {"params": params, "metrics": list(latest.values()), "tags": tags}}

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
                self.wfile.write(reply.body)
                self.close_connection = reply.length is not None

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _answer  # noqa: N815 - http.server's names

            def log_message(self, *_: object) -> None:
                """Keep the test's output quiet."""

        return Handler
