"""Requests to a backend, made one after the other while something else happens to it."""

from __future__ import annotations

import threading
from collections import Counter
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    import urllib3

    from tests.rig.kubernetes.backend import ClusterStack

_PAUSE_S = 0.2


class Load:
    """Makes requests of each name again and again, beside those of the others, from begin to end of a `with`.

    `answered` counts those that were answered with 200; `failed` are the others, each its name and what was met: the
    status and the answer's beginning, or the error.
    """

    def __init__(self, requests: Mapping[str, Callable[[], urllib3.BaseHTTPResponse]], *, pause_s: float = 0) -> None:
        """Take them, and the seconds between two of one name."""
        self.answered, self.failed = Counter[str](), list[tuple[str, Any, bytes]]()
        self._over, self._pause_s = threading.Event(), pause_s
        self._threads = [threading.Thread(target=self._repeat, args=each) for each in requests.items()]

    def _repeat(self, name: str, request: Callable[[], urllib3.BaseHTTPResponse]) -> None:
        while not self._over.wait(self._pause_s):
            try:
                answer = request()
            except Exception as error:  # noqa: BLE001 - whatever it was, a user saw it
                self.failed.append((name, error, b""))
            else:
                self.answered[name] += answer.status == 200
                if answer.status != 200:
                    self.failed.append((name, answer.status, answer.data[:200]))

    def __enter__(self) -> Self:
        """Begin: the threads are in the cluster's network, because whoever starts them is."""
        for each in self._threads:
            each.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End, after the requests under way."""
        self._over.set()
        for each in self._threads:
            each.join()


class Users(Load):
    """They write runs through the ingress; `acknowledged` are the runs that they were told are written."""

    def __init__(self, stack: ClusterStack, experiment: str) -> None:
        """Make them an experiment of their own."""
        self.acknowledged = list[str]()
        self._stack, self._login = stack, stack.login
        self._experiment = stack.call("experiments/create", {"name": experiment})["experiment_id"]
        super().__init__({"runs/create": self._write}, pause_s=_PAUSE_S)

    def _write(self) -> urllib3.BaseHTTPResponse:
        asked = {"experiment_id": self._experiment, "start_time": 0}
        answer = self._stack.ask("api/2.0/mlflow/runs/create", asked, **self._login)
        if answer.status == 200:
            self.acknowledged.append(answer.json()["run"]["info"]["run_id"])
        return answer

    def lost(self) -> set[str]:
        """Return the runs that were acknowledged and are not there."""
        found, page = set[str](), ""
        while True:
            asked = {"experiment_ids": [self._experiment], "max_results": 1000, "page_token": page}
            answer = self._stack.call("runs/search", asked)
            found |= {each["info"]["run_id"] for each in answer.get("runs", [])}
            page = answer.get("next_page_token", "")
            if not page:
                return set(self.acknowledged) - found
