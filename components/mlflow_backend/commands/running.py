"""A program that must not be killed half-way: it is waited for, and at a deadline asked to end before it is made to.

An engine that is killed leaves its state locked and its plugins running, and does not know what it has made.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence


def start(argv: Sequence[str], **options: Any) -> subprocess.Popen[bytes]:
    """Start a program that can be interrupted.

    A shell ignores SIGINT for what it starts in its background, as nohup's users do; that is inherited by all that is
    started from there, and an interrupted engine would go on until it is killed.
    """
    return subprocess.Popen(argv, preexec_fn=take_interrupts, **options)  # noqa: PLW1509 - no other thread runs yet


def take_interrupts() -> None:
    """Give a process that was just forked the system's own way to meet SIGINT."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


def wait(process: subprocess.Popen[bytes], name: str, *, deadline_s: float, interrupt_s: float) -> int:
    """Return the program's exit code, never 0 if it had to be interrupted.

    At the deadline it is interrupted, and killed if it has not ended `interrupt_s` seconds later.
    """
    try:
        return process.wait(timeout=deadline_s)
    except subprocess.TimeoutExpired:
        print(f"{name} had not ended after {deadline_s:.0f} s and is interrupted", file=sys.stderr)
        process.send_signal(signal.SIGINT)
    except KeyboardInterrupt:
        # Whoever interrupted us, by the terminal or by cancelling the workflow, has interrupted the program too.
        pass
    ends_at = time.monotonic() + interrupt_s
    while True:
        try:
            process.wait(timeout=max(0.0, ends_at - time.monotonic()))
        except KeyboardInterrupt:
            # Once more: the program has met that one too, and decides what it leaves undone.
            continue
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        return process.returncode or 1
