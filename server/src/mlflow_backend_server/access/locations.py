"""Addresses of artifacts that a caller may name: what MLflow would resolve to the server's own files is refused. Pure.

MLflow 2.9.2 reads any file of the server through a fragment in `artifact_location` (CVE-2024-2928), and newer releases
write to `file:` addresses. Only an address with the scheme of a store can be meant here: artifacts are in the store.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qsl, unquote

if TYPE_CHECKING:
    from collections.abc import Iterator

_SEPARATORS = re.compile(r"[_-]")
_SCHEME = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*):")
#: Each of these would be read as a path of the server, by one MLflow version or another.
_LOCAL = frozenset({"file", "local", "sqlite"})
#: Of an experiment, a trace (a tag that clients may set) and a run.
_ALWAYS = frozenset({"artifactlocation", "mlflow.artifactlocation", "artifacturi", "artifactroot"})
#: Of a model's version; elsewhere a dataset's or an assessment's source, which nothing is read from.
_OF_VERSION = frozenset({"source"})
#: What MLflow's client and pages give as the source of a prompt's version, which has none (mlflow.prompt.constants).
_OF_PROMPT = "dummy-source"
_MOST_DECODINGS = 5
#: The proxy of the store, and the parameter that names its listing's folder.
_PROXY, _LISTED = "/mlflow-artifacts/", "path"


def problem(address: str) -> str | None:
    """Return what is wrong with an address of artifacts, as the end of a sentence; None if nothing is."""
    for text in _decoded(address):
        scheme = _SCHEME.match(text)
        if not text.isprintable() or "\\" in text:
            return "holds a control character or a backslash"
        if "#" in text or ";" in text:
            return "holds a fragment or parameters"
        if scheme is None or scheme[1].lower() in _LOCAL:
            return "names a file of the server"
        if ".." in re.split(r"[/?&=:]", text):
            return "leads upwards"
    return None


def path_problem(path: str, query: str) -> str | None:
    """Return what is wrong with the path in the store that a request names, as the end of a sentence, None if nothing.

    MLflow decodes it again, and joins it to the store's own folder, after its permissions were looked up by what it
    begins with: `%31/...` and `./1/...` would be the artifacts of experiment 1 without a permission on it.
    """
    _, proxy, rest = path.partition(_PROXY)
    if not proxy:
        return None
    artifacts = [rest, *(value for name, value in parse_qsl(query, keep_blank_values=True) if name == _LISTED)]
    for each in artifacts:
        if unquote(each) != each:
            return "is encoded more than once"
        if any(segment in {"", ".", ".."} for segment in each.removesuffix("/").split("/") if each):
            return "has an empty segment, or one that is a dot or two"
    return None


def named(document: Any, *, version: bool) -> Iterator[tuple[str, str]]:
    """Give key and value of each address of artifacts in JSON-like data; `version` for a request about a version."""
    todo = [document]
    while todo:
        value = todo.pop()
        if isinstance(value, (list, tuple)):
            todo.extend(value)
        elif isinstance(value, dict):
            todo.extend(value.values())
            pairs = [*value.items(), *_tag(value)]
            for key, part in pairs:
                short = _SEPARATORS.sub("", str(key)).lower()
                if short in _ALWAYS or (version and short in _OF_VERSION):
                    yield from ((str(key), text) for text in _texts(part) if (short, text) != ("source", _OF_PROMPT))


def _tag(value: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return the pair that a tag in long form is: `{"key": ..., "value": ...}`."""
    key = value.get("key")
    return [(key, value.get("value"))] if isinstance(key, str) else []


def _texts(part: Any) -> list[str]:
    parts = part if isinstance(part, (list, tuple)) else [part]
    return [text for text in parts if isinstance(text, str) and text]


def _decoded(address: str) -> Iterator[str]:
    """Give the address as it came, and as often as something is encoded in it."""
    text = address
    for _ in range(_MOST_DECODINGS):
        yield text
        following = unquote(text)
        if following == text:
            return
        text = following
    # Nobody encodes as often by accident.
    yield "file:"
