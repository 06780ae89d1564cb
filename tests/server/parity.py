"""Requests that a server with our plugin answers as a plain one does."""

from __future__ import annotations

from typing import Any

API = "/api/2.0/mlflow"

JSON = {"content-type": "application/json"}

PREFLIGHT = {"access-control-request-method": "POST"}

#: Method, path, body, headers.
REQUESTS: list[tuple[str, str, Any, dict[str, str]]] = [
    ("GET", "/health", None, {}),
    ("GET", "/version", None, {}),
    ("GET", "/", None, {}),
    ("HEAD", "/", None, {}),
    ("GET", "/static-files/missing.js", None, {}),
    ("GET", "/nothing", None, {}),
    ("GET", f"{API}/experiments/get?experiment_id=0", None, {}),
    ("GET", f"{API}/experiments/get?experiment_id=99", None, {}),
    ("GET", f"{API}/experiments/get-by-name?experiment_name=%C3%A9%20%2F", None, {}),
    ("POST", f"{API}/experiments/search", {"max_results": 5}, JSON),
    ("POST", f"{API}/experiments/search", {"max_results": "x"}, JSON),
    ("POST", f"{API}/runs/search", {"experiment_ids": ["0"], "filter": "metrics.m > 1"}, JSON),
    ("POST", f"{API}/experiments/create", {"name": "Default"}, JSON),
    ("POST", f"{API}/experiments/create", {"name": "x"}, {}),
    ("PUT", f"{API}/experiments/create", {"name": "x"}, JSON),
    ("DELETE", f"{API}/registered-models/delete", {"name": "missing"}, JSON),
    ("PATCH", f"{API}/registered-models/update", {"name": "missing"}, JSON),
    ("GET", f"{API}/registered-models/search/", None, {}),
    ("OPTIONS", f"{API}/experiments/search", None, {"origin": "https://evil.example", **PREFLIGHT}),
    ("OPTIONS", f"{API}/experiments/search", None, {"origin": "http://localhost:3000", **PREFLIGHT}),
    ("POST", f"{API}/experiments/search", {"max_results": 1}, {**JSON, "origin": "https://evil.example"}),
    ("POST", f"{API}/experiments/search", {"max_results": 1}, {**JSON, "origin": "http://localhost:3000"}),
    ("GET", f"{API}/experiments/search?max_results=1", None, {"origin": "https://evil.example"}),
    ("GET", f"{API}/experiments/search?max_results=1", None, {"host": "evil.example"}),
    ("GET", "/", None, {"host": "evil.example"}),
    ("GET", "/health", None, {"host": "evil.example"}),
    ("GET", f"{API}/experiments/search?max_results=1", None, {"x-mlflow-workspace": "other"}),
    ("GET", "/ajax-api/2.0/mlflow/metrics/get-history-bulk?run_id=a&metric_key=b", None, {}),
    ("GET", "/get-artifact?path=a&run_uuid=missing", None, {}),
    ("GET", "/api/2.0/mlflow-artifacts/artifacts?path=", None, {}),
    ("POST", "/graphql", {"query": "{ __typename }"}, JSON),
    ("GET", "/api/3.0/mlflow/server-info", None, {}),
    ("POST", "/v1/traces", None, {}),
]  # fmt: skip
