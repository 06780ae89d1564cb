"""Operations that take time: begun by a call, and asked for until they are done; a failure of the work is theirs."""

from __future__ import annotations

import threading
import uuid
from typing import TYPE_CHECKING, Any, Final

from tests.rig.gcp.discovery import Failed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.rig.gcp.discovery import Call

_JOIN_S: Final = 60
# google.rpc.Code
_NUMBERS: Final = {
    "INVALID_ARGUMENT": 3, "NOT_FOUND": 5, "ALREADY_EXISTS": 6, "PERMISSION_DENIED": 7, "FAILED_PRECONDITION": 9,
    "ABORTED": 10, "INTERNAL": 13,
}  # fmt: skip


class Operations:
    """The operations of an API, in google.longrunning's form, by name."""

    def __init__(self) -> None:
        self._known: dict[str, dict[str, Any]] = {}
        self._threads: list[threading.Thread] = []

    def begin(self, parent: str, work: Callable[[], Mapping[str, Any]], *, kind: str = "", metadata: Any = None) -> Any:
        """Do something in a thread of its own, and return its operation as it is now."""
        name = "/".join(filter(None, (parent, "operations", str(uuid.uuid4()))))
        operation = self._known[name] = {"name": name, "done": False, "metadata": metadata or {}}

        def run() -> None:
            try:
                answer = work()
                result: dict[str, Any] = {"response": {"@type": f"type.googleapis.com/{kind}", **answer}}
            except Failed as failed:
                result = {"error": {"code": _NUMBERS.get(failed.status, 13), "message": failed.message}}
            self._known[name] = {**operation, **result, "done": True}

        thread = threading.Thread(target=run, name=name.rpartition("/")[2])
        self._threads.append(thread)
        thread.start()
        return dict(operation)

    def get(self, call: Call) -> dict[str, Any]:
        """Answer operations.get."""
        if call["name"] not in self._known:
            raise Failed(404, f"Operation {call['name']} not found")
        return dict(self._known[call["name"]])

    def close(self) -> None:
        """Wait until nothing is under way."""
        for thread in self._threads:
            thread.join(_JOIN_S)
