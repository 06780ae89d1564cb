"""Every GraphQL operation of the installed MLflow behind our filter, in this process, asked with keys of two scopes.

Run with the Python of an MLflow environment; it prints one JSON line for each request: the operation's kind and field,
which document named it, how it was sent, and what a read key and a write key got. No network.
"""

from __future__ import annotations

import importlib
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from tests.server import door_driver

if TYPE_CHECKING:
    from collections.abc import Iterator

JSON = "application/json"
#: How MLflow's pages send it.
PLAIN = f"POST {JSON}"
PATH = "/graphql"


def documents(kind: str, field: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Give a name and a GraphQL request for each way to ask for one field of the schema's `kind`."""
    field_alone = f"{field} {{ __typename }}"
    other = "query" if kind == "mutation" else "fragment Unused on Query"
    beside = "query Other { __typename }" if kind == "mutation" else "fragment Other on Query { __typename }"
    root = kind.capitalize()
    yield "plain", {"query": f"{kind} {{ {field_alone} }}"}
    yield "aliased", {"query": f"{kind} {{ {'query' if kind == 'mutation' else 'mutation'}: {field_alone} }}"}
    yield "after a comment", {"query": f"# {other} {{ __typename }}\n{kind} {{ {field_alone} }} # {{ query }}"}
    yield "commas and a mark", {"query": f"\ufeff,,\t{kind},,Q,{{,{field_alone},}}"}
    yield "fragment", {"query": f"fragment F on {root} {{ {field_alone} }} {kind} {{ ...F }}"}
    yield "inline fragment", {"query": f"{kind} {{ ... on {root} {{ {field_alone} }} }}"}
    yield "named", {"query": f"{beside} {kind} Q {{ {field_alone} }}", "operationName": "Q"}
    yield "not picked", {"query": f"{kind} Q {{ {field_alone} }} {beside}", "operationName": "Other"}
    yield "two and no name", {"query": f"{beside} {kind} Q {{ {field_alone} }}"}
    yield "with variables", {"query": f'{kind} Q($q: String = "query {{") {{ {field_alone} }}', "variables": {"q": "x"}}
    yield "a directive", {"query": f"{kind} Q {{ {field}  @include(if: true) {{ __typename }} }}"}


def transports(document: dict[str, Any]) -> Iterator[tuple[str, str, str, str, bytes]]:
    """Give name, method, target, content type and body of each way to send a request."""
    text = json.dumps(document)
    body = text.encode()
    for kind in (JSON, "application/json; charset=utf-8", "text/plain", "application/graphql", ""):
        yield f"POST {kind}", "POST", PATH, kind, body
    yield "GET with a body", "GET", PATH, JSON, body
    form = urlencode(document)
    yield "GET with a query", "GET", f"{PATH}?{form}", "", b""
    yield "POST with a query", "POST", f"{PATH}?{form}", JSON, b""
    yield "form", "POST", PATH, "application/x-www-form-urlencoded", form.encode()
    yield "graphql", "POST", PATH, "application/graphql", str(document["query"]).encode()
    yield "batched", "POST", PATH, JSON, f"[{text}, {text}]".encode()
    yield "JSON in JSON", "POST", PATH, JSON, json.dumps(text).encode()
    for encoding in ("utf-8-sig", "utf-16", "utf-32-le"):
        yield encoding, "POST", PATH, JSON, text.encode(encoding)
    yield "twice, last", "POST", PATH, JSON, ('{"query": "{ __typename }", ' + text[1:]).encode()
    yield "twice, first", "POST", PATH, JSON, (text[:-1] + ', "query": "{ __typename }"}').encode()
    yield "escaped name", "POST", PATH, JSON, text.replace('"query"', '"\\u0071uery"', 1).encode()


def main() -> None:
    """Ask."""
    asgi = door_driver.prepare(Path(sys.argv[1]))
    keys = importlib.import_module("mlflow_backend_server.access.keys")
    sources = importlib.import_module("mlflow_backend_server.access.sources")
    (reader, entry), (writer, other) = (keys.mint(f"{scope}", scope) for scope in (keys.Scope.READ, keys.Scope.WRITE))
    ring = sources.KeyRing(lambda: json.dumps({"keys": [entry, other]}))
    app, _ = door_driver.application(asgi=asgi, access="token", ring=ring)
    asker = door_driver.Asker(app, asgi=asgi)
    schema = importlib.import_module("mlflow.server.graphql.graphql_schema_extensions").schema
    executed: list[str] = []
    execute = schema.execute

    def counted(query: str, *arguments: Any, **options: Any) -> Any:
        executed.append(query)
        return execute(query, *arguments, **options)

    schema.execute = counted
    types = {"query": schema.graphql_schema.query_type, "mutation": schema.graphql_schema.mutation_type}
    for kind, root in types.items():
        for field in root.fields:
            for place, (document_name, document) in enumerate(documents(kind, field)):
                for transport, method, target, content_type, body in transports(document):
                    if place and transport != PLAIN:
                        continue
                    row: dict[str, Any] = {
                        "kind": kind, "field": field, "document": document_name, "transport": transport,
                    }  # fmt: skip
                    for scope, key in (("read", reader), ("write", writer)):
                        executed.clear()
                        headers = {"x-api-key": key, "content-type": content_type}
                        status, _, _ = asker.ask(method, target, headers, body)
                        row |= {scope: status, f"{scope} executed": [query for query in executed if kind in query]}
                    print(json.dumps(row))


if __name__ == "__main__":
    main()
