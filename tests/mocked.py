"""A program under Pulumi's mocks, on an event loop that is held, and closed at the end of the process.

Pulumi makes one, keeps futures of it for the next program, and closes none. An open one that nobody holds any more is
told, with its sockets, whenever the collector finds it, which was in the middle of a test of the rig: `asyncio.run` of
another test lets it go.
"""

from __future__ import annotations

import asyncio
import atexit
from typing import TYPE_CHECKING, Any

from pulumi.runtime.mocks import Mocks, set_mocks, test
from pulumi.runtime.sync_await import _ensure_event_loop

if TYPE_CHECKING:
    from collections.abc import Callable

LOOPS: list[asyncio.AbstractEventLoop] = []
"""The one of all programs, from the first one on."""


def run(build: Callable[[], Any], mocks: Mocks, *, stack: str, preview: bool = False, monitor: Any = None) -> None:
    """Run `build` as a program of `stack` under `mocks`, and wait for all that it registers."""
    if not LOOPS:
        # Outputs that are made where a provider's SDK is imported belong to one already.
        LOOPS.append(_ensure_event_loop())  # type: ignore[no-untyped-call]
        atexit.register(LOOPS[0].close)
    # Another test's `asyncio.run` leaves none, and the mocks' own stack resource wants one.
    asyncio.set_event_loop(LOOPS[0])
    set_mocks(mocks, project="mlflow-backend", stack=stack, preview=preview, monitor=monitor)
    program: Callable[[Callable[[], Any]], Callable[[], None]] = test
    program(build)()
