"""What the engine tests ask of a running backend, and how they wait for it."""

from __future__ import annotations

import json
import time
import urllib.request
from typing import TYPE_CHECKING, Any

from mlflow_backend.verify.credentials import basic_header

if TYPE_CHECKING:
    from collections.abc import Callable


def eventually(holds: Callable[[], bool], *, within_s: float, what: str) -> None:
    """Wait until something holds; fail with its name if the time is over."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"not within {within_s} s: {what}"
        time.sleep(0.1)


def call(url: str, path: str, body: object = None, *, login: tuple[str, str] | None = None) -> dict[str, Any]:
    """Call MLflow's REST interface, with a name and its password if a login is given."""
    request = urllib.request.Request(
        f"{url}/api/2.0/mlflow/{path}",
        data=None if body is None else json.dumps(body).encode(),
        headers={"Content-Type": "application/json", **(basic_header(*login) if login else {})},
    )
    with urllib.request.urlopen(request, timeout=20) as answer:
        return dict(json.loads(answer.read()))
