"""How a command that asks a platform ends: with an exit code, and with one sentence where it could not do its work."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING

from mlflow_backend.contract import ExitCode, PlatformFailed, Refused, next_step
from mlflow_backend.offered import typed

if TYPE_CHECKING:
    from collections.abc import Callable


def ended(name: str, work: Callable[[], int], *, stack: str) -> int:
    """Do `work` and return its exit code, or that of what declined or failed it, which is told on standard error.

    `stack` is the one that the commands in it are for.
    """
    code: int = ExitCode.DONE
    try:
        code = work()
        sys.stdout.flush()
    except Refused as refusal:
        print(f"{name}: {typed(str(refusal), stack)}", file=sys.stderr)
        return refusal.exit_code
    except BrokenPipeError:
        show_no_more()
    except platform_errors() as failure:
        print(f"{name}: {typed(str(failure), stack)}", file=sys.stderr)
        return ExitCode.PLATFORM_FAILED
    except OSError as error:
        print(f"{name}: {refused_file(error)}", file=sys.stderr)
        return ExitCode.PLATFORM_FAILED
    return code


def refused_file(error: OSError) -> str:
    """Return what the system refused, in one sentence, and what helps."""
    what = f"{error.filename}: " if error.filename else ""
    return f"{what}{error.strerror or type(error).__name__}. {next_step(error)}."


def show_no_more() -> None:
    """Let the rest go nowhere: whoever read it (`| head`) has seen enough, and Python would write it when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def platform_errors() -> tuple[type[Exception], ...]:
    """Return the errors of platforms, whose text is for people; AWS's own only where AWS was asked."""
    if "botocore.exceptions" not in sys.modules:
        return (PlatformFailed,)
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - only where AWS was asked

    return (PlatformFailed, BotoCoreError, ClientError)
