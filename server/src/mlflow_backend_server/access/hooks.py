"""Checks of a request inside MLflow's Flask application, which knows its route and its body.

Registered after MLflow's own checks: an address of artifacts that is a file of the server, a GraphQL mutation with a
key that may only read, and permissions on routes that this MLflow version asks for none.
"""

from __future__ import annotations

import importlib
import json
import re
from typing import TYPE_CHECKING, Any

from mlflow_backend_server.access import locations, permissions
from mlflow_backend_server.access.keys import Scope
from mlflow_backend_server.access.routes import Guard
from mlflow_backend_server.http.audit import about
from mlflow_backend_server.http.exchange import Answer, refusal
from mlflow_backend_server.http.record import CURRENT

if TYPE_CHECKING:
    from mlflow_backend_server.access.permissions import Permissions
    from mlflow_backend_server.http.record import Exchange

_SEARCH_VERSIONS = re.compile(r"/(ajax-)?api/\d\.0/mlflow/model-versions/search")
_UNKNOWN = refusal(403, "PERMISSION_DENIED", "The request cannot be understood well enough to allow it.")


def register(flask_app: Any, granted: Permissions | None) -> None:
    """Put the checks behind those that the application has; `granted` is None unless users have permissions."""
    flask = importlib.import_module("flask")

    def before() -> Any:
        exchange = CURRENT.get()
        if exchange is None or exchange.admission is None:
            # Nothing reaches Flask but through the request filter.
            return _response(
                flask, refusal(500, "INTERNAL_ERROR", "The request did not come through the request filter.")
            )
        answer = _refused(exchange, flask.request, granted)
        return None if answer is None else _response(flask, answer)

    def after(response: Any) -> Any:
        exchange = CURRENT.get()
        if granted is not None and exchange is not None and _is_search(exchange) and response.status_code == 200:  # noqa: PLR2004
            _without_hidden(response, granted, exchange.identity)
        return response

    flask_app.before_request(before)
    flask_app.after_request(after)


def _refused(exchange: Exchange, request: Any, granted: Permissions | None) -> Answer | None:
    admission = exchange.admission
    assert admission is not None  # noqa: S101 - seen by the caller
    route = admission.route.template.replace("/ajax-api", "/api", 1)
    # An artifact is no document, and may be as long as the store takes it.
    document = None if exchange.request.uploads_artifact else permissions.parsed(request.get_data(cache=True))
    exchange.about = about(request.method, route, document, request)
    given = [document, request.args.to_dict(flat=False)]
    if not exchange.request.uploads_artifact:
        given.append(request.form.to_dict(flat=False))
    for key, address in locations.named(given, version="/model-versions/" in route):
        if finding := locations.problem(address):
            return refusal(400, "INVALID_PARAMETER_VALUE", f"'{key}' {finding}; name an address in the store.")
    if route == "/graphql" and admission.key_scope is Scope.READ and not _only_reads(document):
        return refusal(403, "PERMISSION_DENIED", f"The API key '{admission.identity}' may only read.")
    if granted is not None and not admission.administrator and _has_stray_body(request, route):
        return refusal(400, "INVALID_PARAMETER_VALUE", "The parameters of a GET request belong in its query.")
    if admission.route.guard is Guard.FILTER and granted is not None and not admission.administrator:
        return None if _is_search(exchange) else _permitted(exchange, request, route, granted)
    return None


def _has_stray_body(request: Any, route: str) -> bool:
    """Return whether a request that reads has a body: MLflow takes parameters from it that its permissions overlook."""
    return request.method in {"GET", "HEAD"} and route != "/graphql" and bool(request.get_data(cache=True))


def _permitted(exchange: Exchange, request: Any, route: str, granted: Permissions) -> Answer | None:
    admission = exchange.admission
    assert admission is not None  # noqa: S101 - seen by the caller
    try:
        subjects = permissions.subjects_of(request, route)
    except (importlib.import_module("graphql").GraphQLError, RecursionError):
        return _UNKNOWN
    if granted.allows(exchange.identity, subjects, admission.route.scope):
        return None
    return refusal(403, "PERMISSION_DENIED", "Permission denied: ask an administrator for it.")


def _only_reads(document: Any) -> bool:
    """Return whether a GraphQL document holds queries alone."""
    graphql = importlib.import_module("graphql")
    try:
        parsed = graphql.parse(str(document["query"]))
    except (graphql.GraphQLError, TypeError, KeyError, RecursionError):
        return False
    operations = [each for each in parsed.definitions if isinstance(each, graphql.OperationDefinitionNode)]
    return all(each.operation is graphql.OperationType.QUERY for each in operations)


def _is_search(exchange: Exchange) -> bool:
    route = exchange.admission.route if exchange.admission is not None else None
    return route is not None and route.guard is Guard.FILTER and bool(_SEARCH_VERSIONS.fullmatch(route.template))


def _without_hidden(response: Any, granted: Permissions, user: str) -> None:
    """Take the versions out of an answer whose model the user may not read, as newer releases do themselves."""
    document = json.loads(response.get_data())
    found = document.get("model_versions", [])
    document["model_versions"] = [each for each in found if granted.of_model(each.get("name", ""), user).can_read]
    response.set_data(json.dumps(document))


def _response(flask: Any, answer: Answer) -> Any:
    return flask.Response(answer.body, status=answer.status, headers=answer.all_headers())
