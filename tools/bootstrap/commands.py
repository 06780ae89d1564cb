"""Other programs that the set-up runs, each with a deadline; what goes wrong is one sentence."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path


class CommandError(Exception):
    """A program that could not be started, took too long or ended with an error; `str()` is one line."""


def run(argv: Sequence[str], *, deadline_s: float, environment: Mapping[str, str], cwd: Path | None = None) -> str:
    """What the program wrote to its standard output.

    Raises:
        CommandError: it did not start, did not end within `deadline_s`, or did not end with 0; with its last words.
    """
    try:
        ended = subprocess.run(
            argv,
            cwd=cwd,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=deadline_s,
            check=False,
        )
    except OSError as error:
        message = f"{argv[0]} cannot be started: {error.strerror}"
        raise CommandError(message) from error
    except subprocess.TimeoutExpired as error:
        message = f"{argv[0]} did not end within {deadline_s:.0f} s"
        raise CommandError(message) from error
    if ended.returncode != 0:
        message = f"{argv[0]} ended with {ended.returncode}: {last_words(ended.stderr or ended.stdout)}"
        raise CommandError(message)
    return ended.stdout


def last_words(output: str, *, lines: int = 3) -> str:
    """The end of what a program said, as one line."""
    said = [line.strip() for line in output.splitlines() if line.strip()]
    return " / ".join(said[-lines:]) or "it said nothing"
