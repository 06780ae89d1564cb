"""How the set-up speaks: a line for each step that does something, and one line when a step fails."""

from __future__ import annotations

import sys
import time


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
    """Tell what a step does, on standard error: standard output belongs to what the user asked for."""
    sys.stderr.write(f"set-up: {step}: {text}\n")
    sys.stderr.flush()


class Heartbeat:
    """Says at most every `every_s` seconds how far a long step is."""

    def __init__(self, step: str, *, every_s: float = 15.0) -> None:
        """Begin now."""
        self._step = step
        self._every_s = every_s
        self._began = self._said = time.monotonic()

    def beat(self, text: str) -> None:
        """Say `text` with the time since the beginning, when it is time again."""
        now = time.monotonic()
        if now - self._said >= self._every_s:
            self._said = now
            say(self._step, f"{text}, {now - self._began:.0f} s")


def _one_line(text: str) -> str:
    return " ".join(text.split())
