"""Cloud Logging: what containers print, read by a filter of equalities."""

from __future__ import annotations

import json
import operator
import re
import threading
import uuid
from typing import TYPE_CHECKING, Any, Final

from tests.rig.gcp.discovery import Failed
from tests.rig.gcp.run.model import now

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.rig.gcp.discovery import Call, Directory

_MOST: Final = 20_000
_TERM: Final = re.compile(r'\s*([\w."/-]+)\s*(=|>=|<=|>|<|:)\s*("(?:[^"\\]|\\.)*"|[\w.:-]+)\s*(?:AND\b)?', re.DOTALL)


_COMPARISONS: Final[Mapping[str, Callable[[str, str], bool]]] = {
    "=": operator.eq, ":": operator.contains, ">=": operator.ge, "<=": operator.le, ">": operator.gt, "<": operator.lt,
}  # fmt: skip


class Logs:
    """The entries of one project."""

    def __init__(self, directory: Directory, *, project: str) -> None:
        self._project, self.entries = project, list[dict[str, Any]]()
        self._lock = threading.Lock()
        directory.handle("logging.entries", list=self._list)

    def writer(self, kind: str, *, labels: dict[str, str] | None = None, **resource: str) -> Callable[[str, str], None]:
        """Return what writes a container's line, given the container's name and the line."""

        def write(container: str, line: str) -> None:
            entry = {
                "logName": f"projects/{self._project}/logs/run.googleapis.com%2Fstderr",
                "resource": {"type": kind, "labels": {"project_id": self._project, **resource}},
                "labels": {"container_name": container, **(labels or {})},
                "timestamp": now(), "receiveTimestamp": now(), "insertId": uuid.uuid4().hex, **_payload(line),
            }  # fmt: skip
            with self._lock:
                self.entries.append(entry)
                del self.entries[:-_MOST]

        return write

    def _list(self, call: Call) -> dict[str, Any]:
        if call.body.get("resourceNames") != [f"projects/{self._project}"]:
            raise Failed(403, "the caller may read the logs of the one project only")
        terms = _terms(call.body.get("filter", ""))
        with self._lock:
            found = [each for each in self.entries if all(_holds(each, *term) for term in terms)]
        if call.body.get("orderBy", "timestamp asc") == "timestamp desc":
            found.reverse()
        size, begin = call.body.get("pageSize", 50), int(call.body.get("pageToken", "0"))
        page = found[begin : begin + size]
        more = {"nextPageToken": str(begin + size)} if begin + size < len(found) else {}
        return {"entries": page, **more}


def _payload(line: str) -> dict[str, Any]:
    """Return a line as an entry has it: by its fields if it is a JSON object."""
    try:
        found = json.loads(line)
    except ValueError:
        found = None
    return {"jsonPayload": found} if isinstance(found, dict) else {"textPayload": line}


def _terms(text: str) -> list[tuple[str, str, str]]:
    """Return a filter's comparisons. Raises Failed for anything else than comparisons that all hold."""
    found, at = [], 0
    while text[at:].strip():
        matched = _TERM.match(text, at)
        if matched is None:
            raise Failed(400, f"the rig does not read this filter from here on: {text[at:]}")
        found.append((matched[1], matched[2], matched[3].strip('"')))
        at = matched.end()
    return found


def _holds(entry: dict[str, Any], path: str, how: str, value: str) -> bool:
    parts = [(quoted or plain) for quoted, plain in re.findall(r'"([^"]+)"|([^."]+)', path)]
    found: Any = entry
    for part in parts:
        found = found.get(part) if isinstance(found, dict) else None
    if found is None:
        return False
    if path != "timestamp" and how not in {"=", ":"}:
        raise Failed(400, f"the rig does not compare {path} by {how}")
    return _COMPARISONS[how](str(found), value)
