"""The first answer of a service, measured: whether an instance was warm, or had to be started for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from mlflow_backend.contract import Refused
from mlflow_backend.verify.causes import describe
from mlflow_backend.verify.client import Client, Deadline, Transport
from mlflow_backend.verify.credentials import resolve
from mlflow_backend.verify.model import Request

if TYPE_CHECKING:
    from mlflow_backend.cloudrun.locator import CloudRunLocator
    from mlflow_backend.verify.credentials import Readers
    from mlflow_backend.verify.model import Exchange

_PATIENCE_S: Final = 60.0
# Two answers of a warm instance differ by milliseconds; MLflow takes several seconds to start.
_COLD_MS: Final = 1000.0


def first_answer(locator: CloudRunLocator, readers: Readers) -> str:
    """Ask the users' URL twice, logged in as verification is; say how long each answer took and what that means.

    It is what a training meets that begins now: it starts an instance if none runs.
    """
    if locator.inside:
        return "not measured: the URL can be called from the backend's network only"
    try:
        credentials = resolve(locator.credentials, readers)
    except Refused as error:
        return f"not measured: {error}"
    client = Client(locator.url, credentials, Transport(), request_timeout_s=_PATIENCE_S)
    try:
        first, next_ = (client.send(Request("GET", "/health"), deadline=Deadline(_PATIENCE_S)) for _ in range(2))
    finally:
        client.close()
    return compared(first, next_)


def compared(first: Exchange, next_: Exchange) -> str:
    """Say what two answers in a row mean: the first one of a cold service waits for an instance. Pure."""
    if failed := next((each for each in (first, next_) if not each.ok), None):
        return f"none: {describe(failed)}"
    took = f"{first.elapsed_ms / 1000:.2f} s, the next one {next_.elapsed_ms / 1000:.2f} s"
    if first.elapsed_ms - next_.elapsed_ms > _COLD_MS:
        return f"cold, {took}: no instance was warm, and one was started for it"
    return f"warm, {took}"
