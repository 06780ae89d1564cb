"""The readiness of this server for traffic: its database answers, with the schema that it was built for.

The schema is compared until it was right once, and never again in this process: a later migration, made for the next
release, must not take the old servers away before the new ones are there.
"""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from mlflow_backend_server.health.database import ask
from mlflow_backend_server.health.states import Away

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend_server.db.addresses import Address
    from mlflow_backend_server.db.chains import Chain

KEPT_S = 2.0


class Readiness:
    """The answer to `/health/ready`, kept for KEPT_S so that probes cannot load the database."""

    def __init__(
        self, parts: tuple[tuple[Address, Chain], ...], *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Know which databases must be at which heads; nothing is asked yet."""
        self._parts, self._clock = parts, clock
        self._at_head: set[str] = set()
        self._answer: str | None = None
        self._asked_at: float | None = None
        self._asking = threading.Lock()

    def problem(self) -> str | None:
        """Return why the server is not ready, in one sentence; None when it is."""
        with self._asking:
            if self._asked_at is None or self._clock() - self._asked_at >= KEPT_S:
                self._answer = self._ask()
                self._asked_at = self._clock()
            return self._answer

    def _ask(self) -> str | None:
        for address, chain in self._parts:
            try:
                if chain.name in self._at_head:
                    ask(address, "SELECT 1")
                    continue
                # The table's name is one of two constants of ours.
                found = ask(address, f"SELECT version_num FROM {chain.version_table}")  # noqa: S608
            except Away as away:
                return f"The {chain.name} database: {away}"
            except Exception as error:  # noqa: BLE001 - such as a version table that is not there yet
                return f"The {chain.name} database could not be asked for its schema ({type(error).__name__})."
            if found != [chain.head]:
                at = found[0] if found else "no head"
                return f"The {chain.name} database is at {at}, and this server needs {chain.head}."
            self._at_head.add(chain.name)
        return None
