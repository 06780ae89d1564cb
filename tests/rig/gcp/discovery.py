"""Google's APIs as their discovery documents have them: which method a request is, and whether it may be asked so.

A path, parameter or field that no document has is refused as Google refuses it; a method that has no handler here is
answered with 501 and its name. Nothing succeeds by default.
"""

from __future__ import annotations

import functools
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs, unquote

from tests import google_apis

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

APIS: Final = (
    "run.v2", "storage.v1", "secretmanager.v1", "sqladmin.v1", "redis.v1", "iam.v1", "iap.v1", "compute.v1",
    "logging.v2", "monitoring.v3", "iamcredentials.v1", "servicenetworking.v1", "serviceusage.v1",
    "cloudresourcemanager.v3", "cloudscheduler.v1",
)  # fmt: skip
_VARIABLE: Final = re.compile(r"\{\+?(\w+)\}")
_CODES: Final = {
    400: "INVALID_ARGUMENT", 401: "UNAUTHENTICATED", 403: "PERMISSION_DENIED", 404: "NOT_FOUND", 409: "ABORTED",
    412: "FAILED_PRECONDITION", 429: "RESOURCE_EXHAUSTED", 501: "UNIMPLEMENTED",
}  # fmt: skip


class Failed(Exception):
    """An answer that is an error, in the form that Google's APIs have."""

    def __init__(self, code: int, message: str, status: str = "") -> None:
        super().__init__(message)
        self.code, self.message, self.status = code, message, status or _CODES[code]

    def document(self) -> dict[str, Any]:
        """Return the body."""
        reason = {"message": self.message, "domain": "global", "reason": self.status}
        return {
            "error": {"code": self.code, "message": self.message, "status": self.status, "errors": [reason]},
        }


@dataclass(frozen=True, kw_only=True)
class Call:
    """One request that a document allows. `query` has the values of parameters, by their types."""

    method: str
    path: Mapping[str, str]
    query: Mapping[str, Any]
    body: Any
    caller: str
    headers: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> str:
        """Return a part of the path."""
        return self.path[name]


@dataclass(frozen=True, kw_only=True)
class Media:
    """An answer that is no JSON document."""

    content: bytes
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Method:
    """A method of a document. `uploads` if this is its path for media."""

    id: str
    api: str
    verb: str
    pattern: re.Pattern[str]
    parameters: Mapping[str, Any]
    request: str
    uploads: bool


class Directory:
    """The methods that the rig knows, each with what answers it."""

    def __init__(self) -> None:
        self._handlers: dict[str, Callable[[Call], Any]] = {}

    def handle(self, prefix: str, **handlers: Callable[[Call], Any]) -> None:
        """Let methods below `prefix`, such as run.projects.locations.services, be answered."""
        for name, handler in handlers.items():
            method = f"{prefix}.{name}"
            if method not in _ids():
                raise KeyError(f"no discovery document has {method}")
            self._handlers[method] = handler

    def answer(
        self,
        host: str,
        verb: str,
        path: str,
        query: str,
        raw: bytes,
        *,
        caller: str,
        headers: Mapping[str, str],
        may: Callable[[str], bool],
    ) -> Any:
        """Return the answer to a request, if the caller `may` call its method. Raises Failed."""
        method, found = _method(host, verb, path)
        if not may(method.id):
            raise Failed(403, f"Permission denied: {caller} may not call {method.id}")
        parameters = _query(method, query)
        handler = self._handlers.get(method.id)
        if handler is None:
            raise Failed(501, f"the rig does not do {method.id} yet")
        body: Any = raw if method.uploads else _json(raw)
        if method.request and not method.uploads:
            wrong = google_apis.problems(method.api, method.request, body or {})
            if wrong:
                raise Failed(400, f"Invalid JSON payload received: {'; '.join(wrong)}")
        return handler(Call(method=method.id, path=found, query=parameters, body=body, caller=caller, headers=headers))


def _json(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        raise Failed(400, "Invalid JSON payload received.") from None


def hosts() -> tuple[str, ...]:
    """Return the host of each API."""
    return tuple(dict.fromkeys(_host(api) for api in APIS))


def _host(api: str) -> str:
    return str(google_apis.document(api)["rootUrl"]).removeprefix("https://").rstrip("/")


@functools.cache
def _ids() -> frozenset[str]:
    return frozenset(method.id for host in hosts() for method in _methods(host))


def _method(host: str, verb: str, path: str) -> tuple[Method, dict[str, str]]:
    for each in _methods(host):
        matched = each.pattern.fullmatch(path.lstrip("/")) if each.verb == verb else None
        if matched:
            return each, {name: unquote(value) for name, value in matched.groupdict().items()}
    raise Failed(404, f"no discovery document of {host} has {verb} {path}")


@functools.cache
def _methods(host: str) -> tuple[Method, ...]:
    found = [each for api in APIS if _host(api) == host for each in _read(api)]
    # The longest path first: the name of a resource must not take a verb such as ':run' for its end.
    return tuple(sorted(found, key=lambda each: len(_VARIABLE.sub("", each.pattern.pattern)), reverse=True))


def _read(api: str) -> Iterator[Method]:
    document = google_apis.document(api)
    shared = document["parameters"]

    def walk(part: Mapping[str, Any]) -> Iterator[Method]:
        for each in part.get("methods", {}).values():
            # In requests of media the path begins at the root; a download is the same path below another folder.
            paths = [(document["servicePath"] + each["path"], False)]
            paths += [
                (way["path"].lstrip("/"), True) for way in each.get("mediaUpload", {}).get("protocols", {}).values()
            ]
            if each.get("useMediaDownloadService"):
                paths.append((f"download/{paths[0][0]}", False))
            # A resumable upload goes on by PUT.
            verbs = [(each["httpMethod"], path, uploads) for path, uploads in dict.fromkeys(paths)]
            verbs += [("PUT", path, True) for _, path, uploads in verbs if uploads]
            for verb, path, uploads in verbs:
                yield Method(
                    id=each["id"],
                    api=api,
                    verb=verb,
                    pattern=_pattern(path, each.get("parameters", {})),
                    parameters={**shared, **each.get("parameters", {})},
                    request=each.get("request", {}).get("$ref", ""),
                    uploads=uploads,
                )
        for each in part.get("resources", {}).values():
            yield from walk(each)

    yield from walk(document)


def _pattern(path: str, parameters: Mapping[str, Any]) -> re.Pattern[str]:
    text, at = "", 0
    for each in _VARIABLE.finditer(path):
        name = each[1]
        whole = parameters.get(name, {}).get("pattern", ".+").strip("^$") if "+" in each[0] else "[^/]+"
        text += re.escape(path[at : each.start()]) + f"(?P<{name}>{whole.replace('[^/]+', '[^/:]+')})"
        at = each.end()
    return re.compile(text + re.escape(path[at:]))


def _query(method: Method, query: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, values in parse_qs(query, keep_blank_values=True).items():
        declared = method.parameters.get(name)
        # Clients add these two to uploads and downloads; they are the system's own (Google's 'System parameters').
        if declared is None and name not in {"upload_id", "uploadType"}:
            raise Failed(400, f'Invalid value: unknown name "{name}": cannot bind query parameter of {method.id}')
        kind = (declared or {}).get("type", "string")
        value: Any = values if (declared or {}).get("repeated") else values[-1]
        if kind == "boolean":
            value = value == "true"
        elif kind == "integer":
            value = int(value)
        found[name] = value
    return found
