"""The requests that are kept as a line of the audit, and what is said of each. Pure.

Who changed users, keys, permissions and what a registry says: enough to read the history of a model. Never a password,
a key or a secret; of a tag also the value, since everybody who may read the model sees it.
"""

from __future__ import annotations

import re
from typing import Any

_CHANGES = frozenset({"POST", "PUT", "PATCH", "DELETE"})
_AUDITED = re.compile(
    r"/api/\d\.0/mlflow/(users|roles|workspaces|webhooks)(/\S*)?"
    r"|/api/\d\.0/mlflow/\S*permissions?(/\S*)?"
    r"|/api/\d\.0/mlflow/(registered-models|model-versions|mcp-servers)(/(?!search|get)\S+)?"
    r"|/api/\d\.0/mlflow/experiments/(set-experiment-tag|delete-experiment-tag|delete|restore|update|create)"
    r"|/api/\d\.0/mlflow/gateway/(secrets|endpoints|model-definitions)/\S+"
)
_SAID = (
    "name", "new_name", "version", "alias", "stage", "archive_existing_versions", "key", "value", "username",
    "user_name", "permission", "is_admin", "experiment_id", "role", "role_name", "resource_type", "resource_id",
    "secret_name", "endpoint_name", "webhook_id", "artifact_path", "tags",
)  # fmt: skip
_LONGEST = 200


def audited(method: str, route: str) -> bool:
    """Return whether a request is one that the audit keeps; `route` is the template of its route."""
    return method in _CHANGES and _AUDITED.fullmatch(route.replace("/ajax-api", "/api", 1)) is not None


def about(method: str, route: str, document: Any, request: Any) -> dict[str, Any]:
    """Return what a request that is audited is about, nothing of any other; `request` is Flask's."""
    if not audited(method, route):
        return {}
    given: dict[str, Any] = {**request.args.to_dict(), **request.form.to_dict()}
    if isinstance(document, dict):
        given |= {re.sub(r"(?<!^)([A-Z])", r"_\1", str(key)).lower(): value for key, value in document.items()}
    given |= request.view_args or {}
    if "secret" in route or "webhook" in route:
        given.pop("value", None)
    return {name: _short(given[name]) for name in _SAID if given.get(name) is not None}


def _short(value: Any) -> Any:
    return value if isinstance(value, (bool, int, float)) else str(value)[:_LONGEST]
