"""Show the last lines that each process of a stack wrote, without passwords: of its servers, or of what is named.

On the target local these are the files of its processes; on ecs CloudWatch's lines of the last tasks: of the servers,
and with --tasks of the one-shot tasks that migrate and verify. With --audit: who changed users, permissions and the
registry, as the servers wrote it.

Exit codes: 0 shown; 2 usage or settings; 3 the stack has no backend; 4 the platform failed.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from mlflow_backend import audit
from mlflow_backend.commands import stacks
from mlflow_backend.commands.command import ended
from mlflow_backend.contract import ExitCode, UsageError

MOST_LINES = 10_000
"""Of one process: what one answer of CloudWatch may hold (CloudWatch Logs API, GetLogEvents)."""


def main(arguments: list[str] | None = None, *, root: Path | None = None) -> int:
    """Run the command; returns an exit code of `contract.ExitCode`."""
    root = root or Path.cwd()
    options = command_line().parse_args(arguments)
    return ended("logs", partial(_show, options, root), options)


def command_line() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = argparse.ArgumentParser(prog="scripts/logs.py", description=__doc__)
    stacks.add_choice(parser, default="local")
    parser.add_argument("--lines", type=_number, default=15, help="lines of each process, at most 10,000 (default: 15)")
    parser.add_argument("--audit", action="store_true", help="the changes that servers noted, the last --lines of them")
    parser.add_argument("--tasks", action="store_true", help="on ecs and kubernetes: also what one-shot tasks wrote")
    parser.add_argument(
        "part",
        nargs="*",
        help="what to show: on local programs, such as database or server-00001 (default: all); on ecs server (the "
        "default), database or verify",
    )
    return parser


def _show(options: argparse.Namespace, root: Path) -> ExitCode:
    platform = stacks.opened(options, root).platform
    if options.audit:
        found = audit.lines(platform.audit())[-options.lines :]
        print("\n".join(map(audit.text, found)) or "No server has noted a change.")
        return ExitCode.DONE
    parts = platform.log_parts()
    known = [part.name for part in parts]
    for part in options.part:
        if part not in known:
            raise UsageError(f"There is no part {part}.", code="part-unknown", fix=f"Name one of: {', '.join(known)}.")
    if options.tasks and not any(part.one_shot for part in parts):
        raise UsageError(
            f"--tasks: the target {platform.target} has no one-shot tasks.",
            code="no-one-shot-tasks",
            fix="Leave it out.",
        )
    names = options.part or [part.name for part in parts if options.tasks or not part.one_shot]
    if not names:
        print("No process of the stack has a log: none runs.")
    for name in names:
        for text in platform.tails(name, lines=options.lines):
            print(text)
    return ExitCode.DONE


def _number(text: str) -> int:
    number = int(text)
    if not 0 < number <= MOST_LINES:
        message = f"{number} is not between 1 and {MOST_LINES}"
        raise argparse.ArgumentTypeError(message)
    return number


if __name__ == "__main__":
    sys.exit(main())
