"""Every route of the installed MLflow behind our request filter, in this process, asked by each kind of caller.

Run with the Python of an MLflow environment and `basic`; it prints one JSON line for each request: caller, method,
template, guard, status, and whether the answer shows what is hidden. No network: SQLite, a folder, and the
application called directly.
"""

from __future__ import annotations

import asyncio
import base64
import importlib
import importlib.util
import io
import itertools
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

HIDDEN = "hidden-8f2a"
PASSWORD = "only-for-this-test"
#: They ask a catalogue of models on the internet.
_REACHES_OUT = re.compile(r"/gateway/(supported-|provider-config)|/ui-telemetry|/assistant/")
_FORMS = json.loads(os.environ.get("DOOR_FORMS", "[]"))


def prepare(folder: Path) -> bool:
    """Set the environment as a worker of ours has it; return whether it is an ASGI one."""
    asgi = importlib.util.find_spec("mlflow.server.fastapi_app") is not None
    config = folder / "auth.ini"
    config.write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{folder}/auth.db\nadmin_username = admin\n"
        "admin_password = placeholder-of-no-use\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    os.environ.update(
        MLFLOW_AUTH_CONFIG_PATH=str(config),
        MLFLOW_AUTH_ADMIN_PASSWORD=PASSWORD,
        MLFLOW_FLASK_SERVER_SECRET_KEY="test",
        MLFLOW_DISABLE_TELEMETRY="true",
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
        _MLFLOW_SERVER_FILE_STORE=f"sqlite:///{folder}/tracking.db",
        _MLFLOW_SERVER_REGISTRY_STORE=f"sqlite:///{folder}/tracking.db",
        _MLFLOW_SERVER_ARTIFACT_ROOT="mlflow-artifacts:/",
        _MLFLOW_SERVER_ARTIFACT_DESTINATION=str(folder / "artifacts"),
        _MLFLOW_SERVER_SERVE_ARTIFACTS="true",
    )
    if asgi:
        os.environ["_MLFLOW_SGI_NAME"] = "uvicorn"
    return asgi


def application(*, asgi: bool, access: str = "basic", ring: Any = None) -> tuple[Any, Any]:
    """Return the application with its request filter, and the filter; `ring` holds the keys of the access `token`."""
    assembly = importlib.import_module("mlflow_backend_server.assembly")
    health = assembly.Health(
        board=importlib.import_module("mlflow_backend_server.health.board").Board(()),
        readiness=importlib.import_module("mlflow_backend_server.health.readiness").Readiness(()),
        identities=None,
        space=None,
    )
    settings = importlib.import_module("mlflow_backend_server.settings")
    record = importlib.import_module("mlflow_backend_server.http.record")
    wanted = settings.Settings(access=settings.Access(access))
    inner, request_filter, routes = assembly.guarded(wanted, health, ring, asgi=asgi)
    recorder = record.Recorder(template=routes.template, metrics=None, log=False, write=lambda _line: None)
    return assembly.filtered(inner, request_filter, recorder, routes, asgi=asgi), request_filter


class Asker:
    """Sends requests to the application."""

    def __init__(self, app: Any, *, asgi: bool) -> None:
        self._app, self._asgi = app, asgi

    def ask(self, method: str, target: str, headers: dict[str, str], body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Send one request; a failure inside counts as 500, as a server makes of it."""
        path, _, query = target.partition("?")
        given = {"host": "localhost", "content-type": "application/json", **headers}
        ask = self._by_asgi if self._asgi else self._by_wsgi
        return ask(method, path, query, given, body)

    def _by_asgi(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> Any:
        sent: list[Any] = []
        incoming = [{"type": "http.request", "body": body, "more_body": False}]
        scope = {
            "type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": method, "scheme": "http",
            "path": path, "raw_path": path.encode(), "query_string": query.encode(), "root_path": "",
            "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers.items()],
            "client": ("127.0.0.1", 1), "server": ("localhost", 80),
        }  # fmt: skip

        async def receive() -> Any:
            if incoming:
                return incoming.pop(0)
            await asyncio.sleep(3600)
            return None

        async def send(message: Any) -> None:
            sent.append(message)

        async def run() -> None:
            await asyncio.wait_for(self._app(scope, receive, send), 30)

        try:
            asyncio.run(run())
        except Exception as error:  # noqa: BLE001 - as uvicorn does
            return 500, {}, repr(error).encode()
        names = {name.decode().lower(): value.decode("latin-1") for name, value in sent[0]["headers"]}
        return sent[0]["status"], names, b"".join(message.get("body", b"") for message in sent[1:])

    def _by_wsgi(self, method: str, path: str, query: str, headers: dict[str, str], body: bytes) -> Any:
        started: list[Any] = []
        environ: dict[str, Any] = {
            "REQUEST_METHOD": method, "PATH_INFO": path, "QUERY_STRING": query, "SCRIPT_NAME": "",
            "SERVER_NAME": "localhost", "SERVER_PORT": "80", "SERVER_PROTOCOL": "HTTP/1.1", "REMOTE_ADDR": "127.0.0.1",
            "CONTENT_LENGTH": str(len(body)), "wsgi.input": io.BytesIO(body), "wsgi.errors": sys.stderr,
            "wsgi.url_scheme": "http", "wsgi.version": (1, 0), "wsgi.multithread": True, "wsgi.multiprocess": False,
            "wsgi.run_once": False,
        }  # fmt: skip
        for name, value in headers.items():
            upper = name.upper().replace("-", "_")
            environ["CONTENT_TYPE" if upper == "CONTENT_TYPE" else f"HTTP_{upper}"] = value
        try:
            answer = self._app(environ, lambda *said: started.append(said))
            content = b"".join(answer)
            answer.close()
        except Exception as error:  # noqa: BLE001 - as gunicorn does
            return 500, {}, repr(error).encode()
        return int(started[0][0].split()[0]), {k.lower(): v for k, v in started[0][1]}, content


def basic(name: str, password: str) -> dict[str, str]:
    """Return the header of a login."""
    return {"authorization": "Basic " + base64.b64encode(f"{name}:{password}".encode()).decode()}


def scene(asker: Asker) -> dict[str, str]:
    """Make what is hidden, a user who may not see it, and return the ids."""
    admin = basic("admin", PASSWORD)

    def made(method: str, path: str, document: Any) -> Any:
        status, _, content = asker.ask(method, path, admin, json.dumps(document).encode())
        assert status == 200, (path, status, content)
        return json.loads(content or b"{}")

    api = "/api/2.0/mlflow"
    made("POST", f"{api}/users/create", {"username": "bob", "password": PASSWORD})
    experiment = made("POST", f"{api}/experiments/create", {"name": HIDDEN})["experiment_id"]
    run = made("POST", f"{api}/runs/create", {"experiment_id": experiment})["run"]["info"]["run_id"]
    made("POST", f"{api}/registered-models/create", {"name": HIDDEN})
    source = f"mlflow-artifacts:/{experiment}/{run}/artifacts/m"
    made("POST", f"{api}/model-versions/create", {"name": HIDDEN, "source": source, "run_id": run})
    for what, ids in (("experiments", {"experiment_id": experiment}), ("registered-models", {"name": HIDDEN})):
        path = f"{api}/{what}/permissions/create"
        document = {**ids, "username": "bob", "permission": "NO_PERMISSIONS"}
        status, _, _ = asker.ask("POST", path, admin, json.dumps(document).encode())
        if status != 200:
            kind = "experiment" if what == "experiments" else "registered_model"
            grant = {
                "username": "bob", "resource_type": kind, "permission": "DENY",
                "resource_pattern": experiment if kind == "experiment" else HIDDEN,
                "resource_id": experiment if kind == "experiment" else HIDDEN,
            }  # fmt: skip
            made("POST", "/api/3.0/mlflow/users/permissions/grant", grant)
    place = f"/api/2.0/mlflow-artifacts/artifacts/{experiment}/{run}/artifacts/{HIDDEN}"
    status, _, _ = asker.ask("PUT", place, admin, HIDDEN.encode())
    assert status == 200, status
    return {"experiment": experiment, "run": run}


def spelled(ids: dict[str, str]) -> Iterator[tuple[str, bytes]]:
    """Give target and body of each other way to name a hidden artifact, and its folder, in the proxy of the store."""
    encoded = "".join(f"%{ord(character):02X}" for character in ids["experiment"])
    rest = f"{ids['run']}/artifacts"
    plain = f"{ids['experiment']}/{rest}"
    folders = [
        plain,
        f"{encoded}/{rest}",
        f"{encoded.replace('%', '%25')}/{rest}",
        f"./{plain}",
        f"/{plain}",
        f"a/../{plain}",
    ]
    for base in ("/api/2.0/mlflow-artifacts/artifacts", "/ajax-api/2.0/mlflow-artifacts/artifacts"):
        for folder in folders:
            yield f"{base}/{folder}/{HIDDEN}", b""
            yield f"{base}?path={folder.replace('%', '%25')}", b""
            yield base, json.dumps({"path": folder}).encode()
            yield f"{base}?other=1", json.dumps({"path": folder}).encode()


def request_of(method: str, template: str, ids: dict[str, str]) -> tuple[str, bytes]:
    """Return target and body of a request that names what is hidden in every way there is."""
    experiment, run = ids["experiment"], ids["run"]
    path = re.sub(r"<path:artifact_path>|\{artifact_path:path\}", f"{experiment}/{run}/artifacts/x", template)
    path = re.sub(r"<path:[^>]+>|\{path:path\}", "x", path)
    path = re.sub(r"<[^>]+>|\{(?!assessment)[^}]+\}", HIDDEN, path)
    names = {
        "experiment_id": experiment, "run_id": run, "run_uuid": run, "name": HIDDEN, "version": "1", "key": "k",
        "path": f"{experiment}/{run}/artifacts", "value": "v", "metric_key": "m", "stage": "Staging", "alias": "a",
        "username": "ann",
        "password": PASSWORD, "permission": "MANAGE", "new_name": "n", "trace_id": HIDDEN, "request_id": HIDDEN,
    }  # fmt: skip
    query = "&".join(f"{name}={value}" for name, value in names.items())
    document = {
        **names, "experiment_ids": [experiment], "max_results": 5, "is_admin": True, "metrics": [], "timestamp_ms": 1,
        "query": "query Q($data: MlflowGetRunInput!) { mlflowGetRun(input: $data) { run { info { runId } } } }",
        "variables": {"data": {"runId": run}},
    }  # fmt: skip
    if template.endswith("/create"):
        # Anybody may make what is his own.
        document["name"] = f"bob-{template.count('ajax')}-{method}"
    if template.endswith("model-versions/search"):
        return path, b""
    if method in {"GET", "HEAD"}:
        return f"{path}?{query}", json.dumps(document).encode() if path == "/graphql" else b""
    return (f"{path}?{query}" if "upload-artifact" in path else path), json.dumps(document).encode()


def main() -> None:
    """Ask."""
    folder = Path(sys.argv[1])
    asgi = prepare(folder)
    app, request_filter = application(asgi=asgi)
    asker = Asker(app, asgi=asgi)
    ids = scene(asker)
    callers = {
        "anonymous": {}, "wrong": basic("admin", "not-it"), "bob": basic("bob", PASSWORD),
    }  # fmt: skip
    forms = itertools.cycle([{"authorization": form} for form in _FORMS])
    table = importlib.import_module("mlflow_backend_server.access.routes").table_of(sys.argv[2])
    # What is deleted by name would be gone for the next: changes come last, by the strictest method.
    order = ["GET", "PUT", "PATCH", "POST", "DELETE"]
    for method, route in sorted(table, key=lambda row: (order.index(row[0]), row[1].template)):
        # The next form each time: all of them come to every kind of route.
        for caller, headers in [*callers.items(), ("form", next(forms)), ("form", next(forms))]:
            if caller == "bob" and _REACHES_OUT.search(route.template) and route.guard != "admin":
                continue
            target, body = request_of(method, route.template, ids)
            given = {**headers, "x-mlflow-experiment-id": ids["experiment"]}
            status, answered, content = asker.ask(method, target, given, body)
            found = request_filter.route(method, target.partition("?")[0])
            print(
                json.dumps({
                    "caller": caller, "method": method, "template": route.template, "native": route.native,
                    "guard": route.guard, "found": found.template, "status": status,
                    "asks": answered.get("www-authenticate", ""),
                    # Of users they show what is known to each: who there is, and the caller's own permissions.
                    "shows": HIDDEN in content.decode(errors="replace") and status < 300 and "/users/" not in target,
                    "text": content[:200].decode(errors="replace"),
                })
            )  # fmt: skip
    for target, body in spelled(ids):
        status, _, content = asker.ask("GET", target, callers["bob"], body)
        shows = HIDDEN in content.decode(errors="replace") and status < 300
        said = {
            "caller": "bob",
            "method": "GET",
            "template": target,
            "guard": "spelled",
            "status": status,
            "shows": shows,
        }
        print(json.dumps(said))


if __name__ == "__main__":
    main()
