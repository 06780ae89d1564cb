"""The requests that an API key may make, by its scope and what a route does. Pure."""

from __future__ import annotations

from mlflow_backend_server.access.keys import Scope

_REACH = {Scope.READ: frozenset({Scope.READ}), Scope.WRITE: frozenset({Scope.READ, Scope.WRITE})}


def allows(scope: Scope, needed: Scope) -> bool:
    """Return whether a key of this scope may call a route that needs `needed`."""
    return scope is Scope.ADMIN or needed in _REACH[scope]
