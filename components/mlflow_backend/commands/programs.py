"""Programs that a command starts and waits for, within a deadline. Arguments are lists, and secrets go by the input."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Final

from mlflow_backend.contract import PlatformFailed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

ASK_DEADLINE_S: Final = 300


def run(
    command: Sequence[str], environment: Mapping[str, str], deadline_s: float = ASK_DEADLINE_S, *, given: str = ""
) -> None:
    """Run a program, its output going where ours goes. Raises PlatformFailed."""
    _finished(command, environment, deadline_s, given=given, captured=False)


def answer(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Return what a program prints; what it complains of goes where ours goes. Raises PlatformFailed."""
    return _finished(command, environment, ASK_DEADLINE_S, given="", captured=True)


def _finished(
    command: Sequence[str], environment: Mapping[str, str], deadline_s: float, *, given: str, captured: bool
) -> str:
    name = " ".join(command[:3])
    try:
        done = subprocess.run(
            command,
            env=environment,
            input=given,
            stdout=subprocess.PIPE if captured else None,
            text=True,
            timeout=deadline_s,
            check=False,
        )
    except OSError as error:
        raise PlatformFailed(f"{name} cannot be started: {error.strerror}", code="command-not-startable") from error
    except subprocess.TimeoutExpired as error:
        raise PlatformFailed(f"{name} had not ended after {deadline_s:.0f} s", code="command-timed-out") from error
    if done.returncode:
        raise PlatformFailed(f"{name} ended with {done.returncode}", code="command-failed")
    return done.stdout or ""
