"""Users who write runs through the ingress, one after the other, while something goes wrong with the backend."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING, Any, Self

import urllib3

if TYPE_CHECKING:
    from types import TracebackType

    from tests.rig.kubernetes.backend import ClusterStack

_TIMEOUT = urllib3.Timeout(connect=5, read=60)
_PAUSE_S = 0.2


class Users:
    """They write from the beginning to the end of a `with`.

    Attributes: `acknowledged`, the runs that they were told are written; `failed`, every other answer.
    """

    def __init__(self, stack: ClusterStack, experiment: str) -> None:
        """Make them an experiment of their own."""
        self.acknowledged, self.failed = list[str](), list[Any]()
        self._stack, self._over = stack, threading.Event()
        self._login = stack.login
        self._experiment = stack.call("experiments/create", {"name": experiment})["experiment_id"]
        # Whoever starts it is in the cluster's network, and so is it.
        self._thread = threading.Thread(target=self._write)

    def _write(self) -> None:
        url = f"https://{self._stack.host}/api/2.0/mlflow/runs/create"
        authority = str(self._stack.cluster.authority.root)
        asked = {"experiment_id": self._experiment, "start_time": 0}
        with urllib3.PoolManager(retries=False, timeout=_TIMEOUT, ca_certs=authority) as pool:
            while not self._over.wait(_PAUSE_S):
                try:
                    answer = pool.request("POST", url, json=asked, headers=self._login)
                except urllib3.exceptions.HTTPError as error:
                    self.failed.append(repr(error))
                    continue
                if answer.status == 200:
                    self.acknowledged.append(answer.json()["run"]["info"]["run_id"])
                else:
                    self.failed.append((answer.status, answer.data[:200]))

    def __enter__(self) -> Self:
        """Begin."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """End."""
        self._over.set()
        self._thread.join()

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
