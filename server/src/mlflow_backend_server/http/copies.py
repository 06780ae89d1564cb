"""Bounds on the copies of artifacts that MLflow makes before it sends them: some at a time, while there is room.

MLflow downloads an artifact whole before it sends any of it, and nobody knows its size before: so each copy is watched
while it grows. Its transfer has a dozen threads, and many at once would leave no processor to anybody else.
"""

from __future__ import annotations

import importlib
import inspect
import threading
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend_server.temporary import Space

#: Whether the client of the request under way has left.
GONE: ContextVar[Callable[[], bool]] = ContextVar("GONE", default=lambda: False)
_AT_ONCE = 4
_LOOK_S = 0.5
_FULL = "The server has no temporary space left for this artifact. Try again later."
_LEFT = "The client left before the artifact was copied."


def watch(space: Space) -> None:
    """Bound every download from S3 in this process; one that is stopped is MLflow's 503."""
    try:
        manager = importlib.import_module("s3transfer.manager").TransferManager
        subscribers = importlib.import_module("s3transfer.subscribers")
    except ImportError:
        return
    exceptions = importlib.import_module("mlflow.exceptions")
    codes = importlib.import_module("mlflow.protos.databricks_pb2")

    def stop(message: str) -> None:
        raise exceptions.MlflowException(message, error_code=codes.TEMPORARILY_UNAVAILABLE)

    manager.download = bounded(manager.download, subscribers.BaseSubscriber, space, stop)


def bounded(original: Any, base: Any, space: Space, stop: Callable[[str], None]) -> Any:
    """Return s3transfer's `original` download, bounded; `stop` raises what the client gets."""
    signature, turns = inspect.signature(original), threading.Semaphore(_AT_ONCE)

    class Watcher(base):  # type: ignore[misc]
        def __init__(self, gone: Callable[[], bool]) -> None:
            self._gone = gone

        def on_progress(self, **_: Any) -> None:
            self.look()

        def on_done(self, **_: Any) -> None:
            turns.release()

        def look(self, *, now: bool = False) -> None:
            if self._gone():
                stop(_LEFT)
            if not space.room(now=now):
                stop(_FULL)

    def download(*given: Any, **named: Any) -> Any:
        watcher = Watcher(GONE.get())
        while not turns.acquire(timeout=_LOOK_S):
            watcher.look()
        try:
            # A small copy is whole before the last measurement is old: each start is limited to what is there.
            watcher.look(now=True)
            bound = signature.bind(*given, **named)
            bound.arguments["subscribers"] = [*(bound.arguments.get("subscribers") or ()), watcher]
            return original(*bound.args, **bound.kwargs)
        except BaseException:
            turns.release()
            raise

    return download
