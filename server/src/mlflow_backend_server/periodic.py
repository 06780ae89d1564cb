"""MLflow's periodic tasks on one server of several.

With its job queue on Redis, each server would schedule them, and what they submit (judges of online scoring) would run
and be paid for as often as there are servers. MLflow's own switch is set by hand on one server; servers of one task
definition are all alike, so here whoever holds a lock in the tracking database does it, and another takes over.
"""

from __future__ import annotations

import importlib
import logging
import subprocess
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import psycopg2

from mlflow_backend_server.db.postgres import connected
from mlflow_backend_server.db.verdicts import ToolError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from mlflow_backend_server.db.addresses import Address

    Child = subprocess.Popen[bytes] | subprocess.Popen[str]

_logger = logging.getLogger(__name__)
#: MLflow's own switch, on by default; if somebody has set it, it stands.
SWITCH = "MLFLOW_SERVER_JOB_ENABLE_PERIODIC_TASKS"
_ELECTED = "_MLFLOW_BACKEND_PERIODIC_TASKS"
_ENGINE = "MLFLOW_SERVER_JOB_EXECUTION_ENGINE"
_UTILITIES = "mlflow.server.jobs.utils"
#: 'mlfb' and 'cron', so that it can be known in pg_locks.
_LOCK = (0x6D6C6662, 0x63726F6E)
POLL_S = 10.0
_CHECK_S = 2.0
_END_S = 10.0


def take_over(environment: Mapping[str, str]) -> dict[str, str]:
    """Return the variables by which a server's processes leave periodic tasks to the elected one.

    Empty if the operator has chosen, or if this MLflow runs them in another way.
    """
    if SWITCH in environment or _ENGINE in environment or _starter() is None:
        return {}
    return {SWITCH: "false", _ELECTED: "true"}


def elect(address: Address, environment: Mapping[str, str]) -> None:
    """Stand for election in this process for as long as it lives, if `take_over` said so."""
    start = _starter()
    if _ELECTED in environment and start is not None:
        candidate = Candidate(address, start)
        threading.Thread(target=candidate.stand, name="periodic-tasks", daemon=True).start()


def _starter() -> Callable[[], Child] | None:
    try:
        start: Callable[[], Child] | None = getattr(
            importlib.import_module(_UTILITIES), "_start_periodic_tasks_consumer_proc", None
        )
    except ImportError:
        return None
    return start


class Candidate:
    """One process that would run the periodic tasks; `start` starts them as a child."""

    def __init__(self, address: Address, start: Callable[[], Child], *, poll_s: float = POLL_S) -> None:
        """Know the database that elects."""
        self._address, self._start, self._poll_s = address, start, poll_s
        self._pause = threading.Event()

    def stand(self) -> None:
        """Try again and again, until `withdraw`."""
        while not self._pause.is_set():
            try:
                self._serve_if_elected()
            except (ToolError, psycopg2.Error) as error:
                # The lock went with its connection: somebody is elected once the database is back.
                _logger.warning("This server cannot be elected for periodic tasks now: %s.", type(error).__name__)
            self._pause.wait(self._poll_s)

    def withdraw(self) -> None:
        """Stop standing; the child, if there is one, ends."""
        self._pause.set()

    def _serve_if_elected(self) -> None:
        with connected(self._address, purpose="periodic tasks") as connection, connection.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_lock(%s, %s)", _LOCK)
            if cursor.fetchone() != (True,):
                return
            with self._running() as child:
                while child.poll() is None and not self._pause.wait(min(_CHECK_S, self._poll_s)):
                    cursor.execute("SELECT 1")

    @contextmanager
    def _running(self) -> Iterator[Child]:
        child = self._start()
        _logger.info("This server schedules the periodic tasks of the backend (process %s).", child.pid)
        try:
            yield child
        finally:
            child.terminate()
            try:
                child.wait(timeout=_END_S)
            except subprocess.TimeoutExpired:
                child.kill()
                child.wait()
