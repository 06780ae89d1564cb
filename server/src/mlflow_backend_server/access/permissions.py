"""Permissions of basic auth's users on routes that their MLflow version serves without asking for one.

What a request is about is found by the ids in it, wherever they are: in the path, the query, the body or a GraphQL
query. Each must be allowed, and a request that names none is refused. An id too many can only refuse more.
"""

from __future__ import annotations

import importlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlflow_backend_server.access.keys import Scope

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_SEPARATORS = re.compile(r"[_-]")
#: The names by which requests call what they are about, in lower case without separators.
_KINDS = {
    "experimentid": "experiment", "experimentids": "experiment",
    "runid": "run", "runuuid": "run", "runids": "run", "sourcerunid": "run",
    "traceid": "trace", "traceids": "trace", "requestid": "trace", "requestids": "trace",
    "modelid": "logged model", "modelids": "logged model",
    "datasetid": "dataset",
}  # fmt: skip
_UPLOAD = "/mlflow/upload-artifact"
_EXPERIMENT_OF_PATH = re.compile(r"/*(\d+)(?:/|$)")


@dataclass
class Subjects:
    """The ids that a request names."""

    experiments: set[str] = field(default_factory=set)
    others: set[tuple[str, str]] = field(default_factory=set)
    models: set[str] = field(default_factory=set)

    def add(self, value: Any, key: str = "") -> None:
        """Take the ids out of JSON-like data, at any depth."""
        todo = [(key, value)]
        while todo:
            name, part = todo.pop()
            if isinstance(part, dict):
                todo.extend((_SEPARATORS.sub("", str(inner)).lower(), each) for inner, each in part.items())
            elif isinstance(part, (list, tuple)):
                todo.extend((name, each) for each in part)
            elif name in _KINDS and isinstance(part, (str, int)) and str(part):
                self._name(_KINDS[name], str(part))

    def _name(self, kind: str, identifier: str) -> None:
        if kind == "experiment":
            self.experiments.add(identifier)
        else:
            self.others.add((kind, identifier))


def parsed(body: bytes) -> Any:
    """Return the JSON of a body, decoded twice if it is JSON in a JSON text, as old clients send it; else None."""
    try:
        document = json.loads(body)
        return json.loads(document) if isinstance(document, str) else document
    except (ValueError, RecursionError):
        return None


def arguments(query: str, variables: Any) -> Iterator[dict[str, Any]]:
    """Give each argument of a GraphQL query by name, with the values of its variables. Raises graphql.GraphQLError."""
    graphql = importlib.import_module("graphql")
    document = graphql.parse(query)
    given = dict(variables) if isinstance(variables, dict) else {}
    found: list[Any] = []

    class Visitor(graphql.Visitor):  # type: ignore[misc,name-defined]
        def enter_variable_definition(self, node: Any, *_: Any) -> None:
            if node.default_value is not None:
                given.setdefault(node.variable.name.value, graphql.value_from_ast_untyped(node.default_value))

        def enter_argument(self, node: Any, *_: Any) -> None:
            found.append(node)

    graphql.visit(document, Visitor())
    for node in found:
        yield {node.name.value: graphql.value_from_ast_untyped(node.value, given)}


class Permissions:
    """What a user may do, by MLflow's own records."""

    def __init__(self, auth: Any) -> None:
        """Take MLflow's basic auth (mlflow.server.auth)."""
        self._auth = auth

    def allows(self, user: str, subjects: Subjects, scope: Scope) -> bool:
        """Return whether the user may read, or change, all that a request names; no if it names nothing."""
        wanted = "can_read" if scope is Scope.READ else "can_update"
        experiments = set(subjects.experiments)
        for kind, identifier in subjects.others:
            experiments |= self._experiments_of(kind, identifier)
        if not experiments and not subjects.models:
            return False
        return all(getattr(self._of_experiment(each, user), wanted) for each in experiments) and all(
            getattr(self.of_model(each, user), wanted) for each in subjects.models
        )

    def of_model(self, name: str, user: str) -> Any:
        """Return MLflow's permission of a user on a registered model."""
        store = self._auth.store
        return self._or_default(lambda: store.get_registered_model_permission(name, user).permission)

    def _of_experiment(self, identifier: str, user: str) -> Any:
        if hasattr(self._auth, "_get_experiment_permission"):
            return self._auth._get_experiment_permission(identifier, user)
        store = self._auth.store
        return self._or_default(lambda: store.get_experiment_permission(identifier, user).permission)

    def _or_default(self, ask: Callable[[], str]) -> Any:
        return self._auth._get_permission_from_store_or_default(ask)

    def _experiments_of(self, kind: str, identifier: str) -> set[str]:
        """Return the experiments that something belongs to; none for what does not exist."""
        store = importlib.import_module("mlflow.server.handlers")._get_tracking_store()
        try:
            if kind == "run":
                return {store.get_run(identifier).info.experiment_id}
            if kind == "trace":
                return {str(store.get_trace_info(identifier).experiment_id)}
            if kind == "logged model":
                return {str(store.get_logged_model(identifier).experiment_id)}
            return set(map(str, store.get_dataset(identifier).experiment_ids))
        except AttributeError:
            # This version has no such thing.
            return set()
        except Exception as error:
            if getattr(error, "error_code", "") in {"RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE"}:
                return set()
            raise


def subjects_of(request: Any, route: str) -> Subjects:
    """Return what a Flask request names. Raises graphql.GraphQLError for a query that is none."""
    found = Subjects()
    found.add(request.args.to_dict(flat=False))
    found.add(request.view_args or {})
    document = None if _UPLOAD in route or request.method == "PUT" else parsed(request.get_data(cache=True))
    found.add(document)
    if route == "/graphql" and isinstance(document, dict):
        for argument in arguments(str(document.get("query")), document.get("variables")):
            found.add(argument)
    elif "/mlflow-artifacts/" in route:
        path = (request.view_args or {}).get("artifact_path") or request.args.get("path", "")
        if experiment := _EXPERIMENT_OF_PATH.match(path):
            found.experiments.add(experiment[1])
    elif route == "/model-versions/get-artifact":
        found.models.update(request.args.getlist("name"))
    return found
