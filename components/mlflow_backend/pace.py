"""The pace of a wait: its clock and its pauses, so that a test need not wait."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


@dataclass(frozen=True, kw_only=True)
class Pace:
    """The clock and the pause between two questions; `poll_s` is that pause in seconds."""

    clock: Callable[[], float] = time.monotonic
    pause: Callable[[float], None] = time.sleep
    poll_s: float = 1.0
