"""A command's line, and how it ends: with an exit code, and with one sentence if it could not do its work."""

from __future__ import annotations

import argparse
import os
import sys
from functools import partial
from typing import TYPE_CHECKING

from mlflow_backend.contract import ExitCode, PlatformFailed, Refused, next_step
from mlflow_backend.offered import by_address, typed

if TYPE_CHECKING:
    from collections.abc import Callable


def with_verbs(
    line: argparse.ArgumentParser, shared: Callable[[argparse.ArgumentParser], None]
) -> Callable[..., argparse.ArgumentParser]:
    """Return what adds a verb to a command line; an option that `shared` adds may stand before the verb or after it."""
    shared(line)
    repeated = argparse.ArgumentParser(add_help=False)
    shared(repeated)
    for each in repeated._actions:  # noqa: SLF001 - a default after the verb would undo what was given before it
        each.default = argparse.SUPPRESS
    return partial(line.add_subparsers(dest="verb", required=True).add_parser, parents=[repeated])


def ended(name: str, work: Callable[[], int], options: argparse.Namespace) -> int:
    """Run `work`; on a refusal or failure print its message to stderr. Return the exit code that fits.

    `options` are the command line's, which name the backend that the commands in it are for.
    """
    code: int = ExitCode.DONE
    try:
        code = work()
        sys.stdout.flush()
    except Refused as refusal:
        print(f"{name}: {offered_to(str(refusal), options)}", file=sys.stderr)
        return refusal.exit_code
    except BrokenPipeError:
        show_no_more()
    except platform_errors() as failure:
        print(f"{name}: {offered_to(str(failure), options)}", file=sys.stderr)
        return ExitCode.PLATFORM_FAILED
    except OSError as error:
        print(f"{name}: {refused_file(error)}", file=sys.stderr)
        return ExitCode.PLATFORM_FAILED
    return code


def offered_to(text: str, options: argparse.Namespace) -> str:
    """Return a message with the commands that it offers as the person can type them."""
    address = getattr(options, "locator", None)
    return typed(text, options.stack or "STACK") if address is None else by_address(text, address)


def refused_file(error: OSError) -> str:
    """Return what the system refused, in one sentence, and what helps."""
    what = f"{error.filename}: " if error.filename else ""
    return f"{what}{error.strerror or type(error).__name__}. {next_step(error)}."


def show_no_more() -> None:
    """Let the rest go nowhere: whoever read it (`| head`) has seen enough, and Python would write it when it ends."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def platform_errors() -> tuple[type[Exception], ...]:
    """Return the errors of platforms, whose text is for people; AWS's own only if AWS was asked."""
    if "botocore.exceptions" not in sys.modules:
        return (PlatformFailed,)
    from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 - only if AWS was asked

    return (PlatformFailed, BotoCoreError, ClientError)
