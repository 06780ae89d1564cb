"""Record every route of the MLflow beside it, who guards it and what it does, in `routes.json` of the server package.

Run with the Python of an MLflow environment, once for each version:

    ~/.cache/mlflow-backend/environments/3.17.2-…/bin/python server/tools/record_routes.py

It prints what would change, and writes it with `--write`. No server is started; the users' database is a SQLite file
in a temporary folder. What this page cannot see in MLflow is closed (`admin`) unless it stands in a list below, which
people review.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import importlib.util
import inspect
import json
import os
import re
import sys
import tempfile
import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

OUTPUT = Path(__file__).resolve().parents[1] / "src" / "mlflow_backend_server" / "routes.json"
_AUTH = "mlflow.server.auth"

#: Validators that ask for a permission. Older releases list a route's own handler as its validator by mistake, and
#: some validators let in whoever has a password: neither is a guard.
_ASKS = re.compile(
    r"_?validate_\w+|sender_is_admin|(_get_(otel|gateway|job_route|mcp_server|fastapi_proxy_artifact)_)\S+"
)
#: Handlers after the request that take out of an answer what its reader may not see.
_FILTERS = re.compile(r"filter_\w+|redact_search_runs_model_links")
#: Any user may call these: they show nothing of an experiment or a model, or make one that becomes his own.
_ANY_USER = re.compile(
    r"GET (/|/version|/build/\S+|/api/3\.0/mlflow/server-info)"
    r"|POST /api/\d\.0/mlflow/(experiments|registered-models)/create"
    r"|(GET|POST) /api/3\.0/mlflow/ui-telemetry"
    r"|GET /api/\d\.0/mlflow/users/current(/permissions)?"
    r"|GET /api/3\.0/mlflow/gateway/(supported-providers|supported-models|provider-config|secrets/config)"
    r"|GET /api/3\.0/mlflow/gateway/budgets/(get|list|windows)"
    r"|GET /gateway/mlflow/v1/models"
)
#: Guarded by our own filter, because MLflow does not: an id in the request names what it is about (permissions.py).
_BY_ID = re.compile(
    r"/api/2\.0/mlflow/runs/(search|log-inputs|outputs|create-promptlab-run)"
    r"|/api/2\.0/?mlflow/experiments/search-datasets"
    r"|/api/2\.0/mlflow/metrics/get-history-bulk(-interval)?"
    r"|/api/2\.0/mlflow/model-versions/search"
    r"|/api/2\.0/mlflow/(upload-artifact|unified-traces|get-online-trace-details)"
    r"|/api/[23]\.0/mlflow/get-trace-artifact"
    r"|/api/2\.0/mlflow/logged-models/<model_id>/artifacts/(files|directories)"
    r"|/api/2\.0/mlflow-artifacts/artifacts(/<path:artifact_path>)?"
    r"|/api/[23]\.0/mlflow/traces(/\S+)?"
    r"|/api/3\.0/mlflow/scorers/(register|list|versions|get|delete)"
    r"|/api/3\.0/mlflow/datasets/\S+"
    r"|(/model-versions)?/get-artifact|/graphql"
)
#: They hand out addresses of the store that outlive a key and have no limit; nobody gets them.
_STORE_ADDRESSES = re.compile(
    r"/api/2\.0/mlflow-artifacts/(mpu/\S+|presigned\S*)|/api/2\.0/mlflow/artifacts/presigned-(up|down)load-url"
)
#: What an API key needs the scope `admin` for: credentials of others, and who may do what.
_ADMINISTRATION = re.compile(
    r"/api/\d\.0/mlflow/(users|roles|webhooks|workspaces|assistant)(/\S*)?"
    r"|/api/\d\.0/mlflow/\S*permissions?(/\S*)?|/api/3\.0/mlflow/gateway/secrets(/\S*)?|/signup"
)
#: What reads by POST, seen in MLflow 2.9 to 3.17. GraphQL is decided by the operation.
_READING_POSTS = re.compile(
    r"/api/\d\.0/?(mlflow/)?(\S+/)?(search|search-datasets|get-latest-versions|batchGetInfos"
    r"|calculate-filter-correlation)/?"
    r"|/api/3\.0/mlflow/traces/metrics|/graphql"
)


def main() -> int:
    """Record this environment's MLflow."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write routes.json")
    options = parser.parse_args()
    version = importlib.metadata.version("mlflow")
    table = json.loads(OUTPUT.read_text(encoding="utf-8")) if OUTPUT.exists() else {}
    found, known = recorded(), table.get(version, [])
    for sign, left in (("+", set(found) - set(known)), ("-", set(known) - set(found))):
        for line in sorted(left):
            sys.stdout.write(f"{sign} {line}\n")
    if options.write:
        table[version] = found
        ordered = dict(sorted(table.items(), key=lambda item: [int(part) for part in item[0].split(".")]))
        OUTPUT.write_text(json.dumps(ordered, indent=0) + "\n", encoding="utf-8")
    return 0


def recorded() -> list[str]:
    """Return a line for each method of each route: stack, method, guard, scope and template."""
    warnings.simplefilter("ignore")
    with tempfile.TemporaryDirectory() as folder:
        auth, application = _loaded(Path(folder))
        flask_app = importlib.import_module("mlflow.server").app
        rows = [*_flask(auth, flask_app), *_native(auth, application)]
    return sorted({f"{stack} {method} {guard} {scope} {template}" for stack, method, guard, scope, template in rows})


def _loaded(folder: Path) -> tuple[Any, Any]:
    """Return MLflow's basic auth and the application that it makes, with FastAPI around Flask if there is one."""
    config = folder / "auth.ini"
    config.write_text(
        f"[mlflow]\ndefault_permission = READ\ndatabase_uri = sqlite:///{folder}/auth.db\nadmin_username = admin\n"
        f"admin_password = only-for-recording\n"
        "authorization_function = mlflow.server.auth:authenticate_request_basic_auth\n"
    )
    os.environ.update(
        MLFLOW_AUTH_CONFIG_PATH=str(config),
        MLFLOW_AUTH_ADMIN_PASSWORD="only-for-recording",  # noqa: S106 - of a database that ends with this process
        MLFLOW_FLASK_SERVER_SECRET_KEY="recording",  # noqa: S106 - the same
        MLFLOW_DISABLE_TELEMETRY="true",
        _MLFLOW_SERVER_FILE_STORE=f"sqlite:///{folder}/tracking.db",
        _MLFLOW_SERVER_SERVE_ARTIFACTS="true",
    )
    if importlib.util.find_spec("mlflow.server.fastapi_app") is not None:
        os.environ["_MLFLOW_SGI_NAME"] = "uvicorn"
    auth = importlib.import_module(_AUTH)
    application = auth.create_app()
    return auth, application


def _flask(auth: Any, app: Any) -> Iterator[tuple[str, ...]]:
    for rule in app.url_map.iter_rules():
        path = re.sub(r"<[^>]+>", "1", rule.rule)
        for method in sorted(rule.methods - {"HEAD", "OPTIONS"}):
            seen = Seen(method, rule.rule, _flask_validator(auth, path, method), _after(auth, path, method))
            yield "flask", method, _guard(auth, seen, path), _scope(seen), rule.rule


def _flask_validator(auth: Any, path: str, method: str) -> str:
    request = SimpleNamespace(path=path, method=method, view_args={"artifact_path": "1/x"})
    if hasattr(auth, "_find_validator"):
        found = auth._find_validator(request)
    else:
        found = auth.BEFORE_REQUEST_VALIDATORS.get((path, method))
    if found is None and auth._is_proxy_artifact_path(path):
        found = auth._get_proxy_artifact_validator(method, request.view_args)
    return _name(found)


def _after(auth: Any, path: str, method: str) -> str:
    found = auth.AFTER_REQUEST_HANDLERS.get((path, method))
    for table in ("PARAMETERIZED_AFTER_REQUEST_HANDLERS", "WORKSPACE_PARAMETERIZED_AFTER_REQUEST_HANDLERS"):
        for (pattern, wanted), handler in getattr(auth, table, {}).items():
            if wanted == method and pattern.fullmatch(path):
                found = handler
    return _name(found)


def _native(auth: Any, application: Any) -> Iterator[tuple[str, ...]]:
    find: Any = getattr(auth, "_find_fastapi_validator", lambda _path: None)
    by_method = len(inspect.signature(find).parameters) > 1
    filters = getattr(auth, "FASTAPI_ENDPOINT_RESPONSE_FILTERS", {})
    for route in walk(getattr(application, "routes", [])):
        path = re.sub(r"\{[^}]+\}", "1", route.path)
        for method in sorted(set(getattr(route, "methods", None) or ()) - {"HEAD", "OPTIONS"}):
            validator = _name(find(path, method) if by_method else find(path))
            after = "filter_native" if getattr(route, "endpoint", None) in filters else ""
            seen = Seen(method, route.path, validator, after)
            yield "native", method, _guard(auth, seen, path), _scope(seen), route.path


def walk(routes: Any) -> Iterator[Any]:
    """Give FastAPI's own routes, those of included routers too, without what is mounted."""
    for route in routes:
        if hasattr(route, "effective_candidates"):
            yield from walk(route.effective_candidates())
        elif hasattr(route, "methods"):
            yield route


def _name(found: Any) -> str:
    return str(getattr(found, "__qualname__", "")) if found is not None else ""


class Seen(NamedTuple):
    """One method of one route, and the names of what MLflow asks before it and does after it."""

    method: str
    route: str
    validator: str
    after: str

    @property
    def template(self) -> str:
        """The route as the API has it: what the UI calls is the same by another name."""
        return self.route.replace("/ajax-api", "/api", 1)


def _guard(auth: Any, seen: Seen, path: str) -> str:
    if _STORE_ADDRESSES.fullmatch(seen.template):
        return "closed"
    if auth.is_unprotected_route(path):
        return "open"
    if _ASKS.match(seen.validator) or _FILTERS.match(seen.after):
        return "mlflow"
    if seen.template == "/graphql" and hasattr(auth, "get_graphql_authorization_middleware"):
        return "mlflow"
    if _ANY_USER.fullmatch(f"{seen.method} {seen.template}"):
        return "user"
    return "filter" if _BY_ID.fullmatch(seen.template) else "admin"


def _scope(seen: Seen) -> str:
    if _ADMINISTRATION.fullmatch(seen.template):
        return "admin"
    reads = seen.method == "GET" or (seen.method == "POST" and _READING_POSTS.fullmatch(seen.template))
    return "read" if reads else "write"


if __name__ == "__main__":
    sys.exit(main())
