"""The wait of a verification's task until the network lets it through."""

from __future__ import annotations

import contextlib
import socket
import time
from typing import TYPE_CHECKING

from mlflow_backend.verify import job
from tests.server.services import free_port

if TYPE_CHECKING:
    import pytest


def test_an_address_that_refuses_at_first_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    """A pod that was just made may be refused by policies that let it through a moment later."""
    port = free_port()
    with contextlib.ExitStack() as kept:

        def listen(_seconds: float) -> None:
            kept.enter_context(socket.create_server(("127.0.0.1", port)))

        monkeypatch.setattr(time, "sleep", listen)
        job.wait_until_let_in(f"http://127.0.0.1:{port}/path", deadline_s=60)
        # It was waited for once: the second server on the port would have failed.
        with socket.create_connection(("127.0.0.1", port), timeout=5):
            pass


def test_an_address_that_refuses_for_good_is_left_to_the_checks(monkeypatch: pytest.MonkeyPatch) -> None:
    """They name the cause; the wait ends by its deadline."""
    now = iter((0.0, 0.0, 10.0, 31.0))
    monkeypatch.setattr(time, "monotonic", lambda: next(now))
    monkeypatch.setattr(time, "sleep", lambda _: None)
    job.wait_until_let_in(f"http://127.0.0.1:{free_port()}")
    assert next(now, None) is None
