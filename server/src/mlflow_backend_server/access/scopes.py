"""Which requests a key with scope `read` may make. Pure.

MLflow reads by POST in some places, and they are listed one by one; whatever is not known to read, writes.
"""

from __future__ import annotations

import re

from mlflow_backend_server.access.keys import Scope

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})
#: What reads by POST, in MLflow 2.9 to 3.18. Below `mlflow/` alone: elsewhere a path may end in a name that a caller
#: chose, as a multipart upload's does.
_READING_POSTS = re.compile(
    r"/(?:ajax-)?api/\d\.\d/mlflow/"
    r"(?:(?:[a-z-]+/)+(?:search|search-datasets|get-latest-versions)|traces/(?:batchGetInfos|metrics))/?"
)


def allows(scope: Scope, method: str, path: str) -> bool:
    """Tell whether a key of this scope may make the request."""
    if scope is Scope.WRITE or method in _SAFE_METHODS:
        return True
    return method == "POST" and _READING_POSTS.fullmatch(path) is not None
