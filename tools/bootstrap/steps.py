"""The set-up's output: a line for each step that does something, and one line when a step fails."""

from __future__ import annotations

import contextlib
import sys
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator


class StepFailedError(Exception):
    """A step that cannot be finished: what failed, why, and what the user can do."""

    def __init__(self, *, what: str, why: str, fix: str) -> None:
        """Keep the three parts; `str()` joins them into the one line that is shown."""
        super().__init__(f"{what}: {_one_line(why)}; {fix}")
        self.what = what
        self.why = why
        self.fix = fix


class UnavailableError(Exception):
    """A source that is not to be had here and now; the next one may be."""


def say(step: str, text: str) -> None:
    """Write what a step does to standard error: standard output belongs to what the user asked for."""
    sys.stderr.write(f"set-up: {step}: {text}\n")
    sys.stderr.flush()


@contextlib.contextmanager
def heartbeat(step: str, *, every_s: float = 15.0) -> Iterator[None]:
    """Say every `every_s` seconds that a long step is still at work, until the block is left."""
    ended = threading.Event()
    began = time.monotonic()

    def beat() -> None:
        while not ended.wait(every_s):
            say(step, f"still at work, {time.monotonic() - began:.0f} s")

    threading.Thread(target=beat, daemon=True).start()
    try:
        yield
    finally:
        ended.set()


def _one_line(text: str) -> str:
    return " ".join(text.split())
