"""One request and its answer as both stacks see them, and the few decisions that need nothing else. Pure."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

REQUEST_ID = "x-request-id"
_REQUEST_ID_FORM = re.compile(r"[A-Za-z0-9._:+/=@-]{1,128}", re.ASCII)
_MLFLOW_CLIENT_FORM = re.compile(r"mlflow-python-client/([0-9a-z.]{1,32})(?![^ ])")
_TRACEPARENT_FORM = re.compile(r"[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}", re.ASCII)
#: Bodies up to here stay in memory: they need none of the temporary folder.
IN_MEMORY_BYTES = 1024 * 1024
#: What MLflow copies to its temporary folder before it answers.
_COPIED = ("/mlflow-artifacts/artifacts/", "/get-artifact", "/get-trace-artifact", "/get-logged-model-artifact")
_LOGGED_MODEL_FILES = "/artifacts/files"
_RETRY_S = 10
#: Uploads of artifacts have a limit of their own.
_ARTIFACT_PATHS = ("/mlflow-artifacts/artifacts/", "/mlflow/upload-artifact")
_LENGTH_DIGITS = 19


class ClientGoneError(ConnectionResetError):
    """The client left, or neither sends nor reads any more: nobody is there to be answered."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """What came in. Header names are in lower case; `path` is the `raw_path` without the prefix that users call.

    `query` is as it was sent.
    """

    method: str
    path: str
    raw_path: str
    headers: Mapping[str, str] = field(repr=False)
    client: str = ""
    query: str = ""
    scheme: str = "http"

    @property
    def request_id(self) -> str:
        """The caller's request id if it is fit for a log, else nothing."""
        given = self.headers.get(REQUEST_ID, "")
        return given if _REQUEST_ID_FORM.fullmatch(given) else ""

    @property
    def traceparent(self) -> str:
        """The caller's trace context if it is well-formed, else nothing; it is passed on as it came either way."""
        given = self.headers.get("traceparent", "")
        return given if _TRACEPARENT_FORM.fullmatch(given) else ""

    @property
    def mlflow_client(self) -> str:
        """The version of MLflow's client that asks, by its User-Agent; nothing if it is another program."""
        found = _MLFLOW_CLIENT_FORM.match(self.headers.get("user-agent", ""))
        return found[1] if found else ""

    @property
    def length(self) -> int:
        """The length that the caller announces, in bytes; 0 if there is none."""
        text = self.headers.get("content-length", "")
        return int(text) if text.isascii() and text.isdigit() and len(text) <= _LENGTH_DIGITS else 0

    @property
    def uploads_artifact(self) -> bool:
        """Whether the body is an artifact."""
        return any(part in self.path for part in _ARTIFACT_PATHS)

    @property
    def is_copied(self) -> bool:
        """Whether the answer is an artifact."""
        return self.method in {"GET", "HEAD"} and (
            any(part in self.path for part in _COPIED) or self.path.endswith(_LOGGED_MODEL_FILES)
        )


@dataclass(frozen=True, kw_only=True)
class Answer:
    """An answer of ours, without MLflow: a JSON document, or plain words as MLflow's own `/health` has them.

    `identity` is who a refused caller is, or says to be.
    """

    status: int
    document: dict[str, Any] | str
    headers: tuple[tuple[str, str], ...] = ()
    identity: str = ""

    @property
    def body(self) -> bytes:
        """The document as it is sent."""
        return (self.document if isinstance(self.document, str) else json.dumps(self.document)).encode()

    def all_headers(self) -> list[tuple[str, str]]:
        """Return the headers, those of the body included."""
        length = ("content-length", str(len(self.body)))
        if isinstance(self.document, str):
            return [("content-type", "text/html; charset=utf-8"), length, *self.headers]
        ours = (("x-content-type-options", "nosniff"), ("cache-control", "no-store"))
        return [("content-type", "application/json"), length, *ours, *self.headers]


def refusal(status: int, code: str, message: str, *headers: tuple[str, str]) -> Answer:
    """Return an answer in the form of MLflow's own errors, so that its clients show the message."""
    return Answer(status=status, document={"error_code": code, "message": message}, headers=headers)


UNAUTHENTICATED = refusal(
    401, "UNAUTHENTICATED", "A valid API key is needed.", ("www-authenticate", 'Bearer realm="mlflow"')
)
#: As MLflow's own route says it. MLflow would need one of its threads for it, and slow clients may hold all of them.
ALIVE = Answer(status=200, document="OK")
NO_LOGIN = refusal(401, "UNAUTHENTICATED", "You are not authenticated.", ("www-authenticate", 'Basic realm="mlflow"'))
NO_SUCH_METHOD = refusal(405, "METHOD_NOT_ALLOWED", "Health routes answer GET and HEAD only.", ("allow", "GET, HEAD"))
#: MLflow's own words, by which its clients know that they have to upload through the server.
NO_STORE_ADDRESSES = refusal(
    501, "NOT_IMPLEMENTED", "Multipart upload is not supported for the current artifact repository"
)
TIMED_OUT = refusal(504, "TIMEOUT", "The server did not answer within its request time-out.")


def too_large(limit: int, *, artifact: bool) -> Answer:
    """Return the 413 that names the limit."""
    what = "An artifact" if artifact else "A request"
    return refusal(
        413, "REQUEST_TOO_LARGE", f"{what} may have at most {limit} bytes on this server.", ("connection", "close")
    )


def no_space(length: int, *, budget: int) -> Answer:
    """Return the answer to a body, or an artifact, for which the temporary folder has no room now, or never."""
    if budget and length > budget:
        message = f"This server keeps at most {budget} bytes of temporary files."
        return refusal(413, "REQUEST_TOO_LARGE", message, ("connection", "close"))
    message = "The server has no temporary space left for this. Try again later."
    return refusal(503, "TEMPORARILY_UNAVAILABLE", message, ("retry-after", str(_RETRY_S)), ("connection", "close"))


def space_wanted(request: Request) -> int:
    """Return how many bytes of temporary space a request is known to need before it is served."""
    return max(request.length if request.length > IN_MEMORY_BYTES else 0, int(request.is_copied))


def body_limit(request: Request, *, request_bytes: int, artifact_bytes: int) -> int:
    """Return the most bytes that the body may have; 0 for no limit."""
    return artifact_bytes if request.uploads_artifact else request_bytes


def without_prefix(path: str, prefix: str) -> str:
    """Return the path as MLflow knows it; one without the prefix stays: probes and MLflow's own jobs call it so."""
    return (path.removeprefix(prefix) or "/") if _below(path, prefix) else path


def with_prefix(location: str, request: Request) -> str:
    """Return where a redirect leads, below the prefix that the request was made with."""
    prefix = request.raw_path.removesuffix(request.path)
    inside = location.startswith("/") and not location.startswith("//") and not _below(location, prefix)
    return prefix + location if inside else location


def _below(path: str, prefix: str) -> bool:
    return bool(prefix) and (path == prefix or path.startswith(f"{prefix}/"))
