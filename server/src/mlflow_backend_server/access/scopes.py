"""Which requests a key with scope `read` may make. Pure.

MLflow reads by POST in some places, and they are listed one by one; whatever is not known to read, writes.
"""

from __future__ import annotations

from mlflow_backend_server.access.keys import Scope

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
#: Last segments of paths that read by POST, in MLflow 2.9 to 3.18.
_READING_POSTS = frozenset({"search", "search-datasets", "get-latest-versions", "get-history-bulk"})


def allows(scope: Scope, method: str, path: str) -> bool:
    """Tell whether a key of this scope may make the request."""
    if scope is Scope.WRITE or method in _SAFE_METHODS:
        return True
    return method == "POST" and path.rstrip("/").rpartition("/")[2] in _READING_POSTS
