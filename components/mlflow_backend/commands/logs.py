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
from typing import TYPE_CHECKING

from mlflow_backend import audit
from mlflow_backend.commands import stacks
from mlflow_backend.commands.command import ended
from mlflow_backend.contract import ExitCode, Refused
from mlflow_backend.local.state import StateDir
from mlflow_backend.local.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Iterator

MOST_LINES = 10_000
"""Of one process: what one answer of CloudWatch may hold (CloudWatch Logs API, GetLogEvents)."""
TASKS = 3
"""Of each part of a backend on ecs: those that run, then the last that ended."""


class UnknownPart(Refused):
    """A part was named that the stack does not have."""

    exit_code = ExitCode.USAGE


def main(arguments: list[str] | None = None, *, root: Path | None = None) -> int:
    """Run the command; returns an exit code of `contract.ExitCode`."""
    root = root or Path.cwd()
    options = command_line().parse_args(arguments)
    return ended("logs", partial(_show, options, root), stack=options.stack)


def command_line() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = argparse.ArgumentParser(prog="scripts/logs.py", description=__doc__)
    parser.add_argument("--stack", default="local", help="the stack (default: local)")
    parser.add_argument("--lines", type=_number, default=15, help="lines of each process, at most 10,000 (default: 15)")
    parser.add_argument("--audit", action="store_true", help="the changes that servers noted, the last --lines of them")
    parser.add_argument("--tasks", action="store_true", help="on ecs: also what the one-shot tasks wrote")
    parser.add_argument(
        "part",
        nargs="*",
        help="what to show: on local programs, such as database or server-00001 (default: all); on ecs server (the "
        "default), database or verify",
    )
    return parser


def _show(options: argparse.Namespace, root: Path) -> ExitCode:
    on_ecs = stacks.on_ecs(options.stack, root)
    if options.audit:
        found = audit.lines((_ecs_audit if on_ecs else _local_audit)(options, root))[-options.lines :]
        print("\n".join(map(audit.text, found)) or "No server has noted a change.")
        return ExitCode.DONE
    for text in (_ecs if on_ecs else _local)(options, root):
        print(text)
    return ExitCode.DONE


def _local(options: argparse.Namespace, root: Path) -> Iterator[str]:
    state = StateDir(stacks.local_backend(options.stack, root))
    if options.tasks:
        raise UnknownPart("--tasks: the target local has no one-shot tasks.", fix="Leave it out.")
    known = sorted(path.stem for path in state.logs.glob("*.log"))
    _must_be_known(options.part, known)
    supervisor = Supervisor(state)
    for name in options.part or known:
        yield f"{name} ({state.logs / f'{name}.log'})\n{supervisor.tail(name, lines=options.lines)}"


def _local_audit(options: argparse.Namespace, root: Path) -> Iterator[str]:
    state = StateDir(stacks.local_backend(options.stack, root))
    for path in state.logs.glob("server-*.log"):
        with path.open(encoding="utf-8", errors="replace") as log:
            yield from log


def _ecs_audit(options: argparse.Namespace, root: Path) -> Iterator[str]:
    from mlflow_backend.aws import clients  # noqa: PLC0415 - AWS only where it is asked
    from mlflow_backend.ecs import locator, logs  # noqa: PLC0415

    place = locator.located(stacks.locator_of(options.stack, root))
    yield from logs.EcsLogs(clients=clients.connect(place.service.region), place=place).audit()


def _ecs(options: argparse.Namespace, root: Path) -> Iterator[str]:
    from mlflow_backend.aws import clients  # noqa: PLC0415 - AWS only where it is asked
    from mlflow_backend.ecs import locator, logs  # noqa: PLC0415

    _must_be_known(options.part, logs.PARTS)
    place = locator.located(stacks.locator_of(options.stack, root))
    found = logs.EcsLogs(clients=clients.connect(place.service.region), place=place)
    for part in options.part or (logs.PARTS if options.tasks else logs.PARTS[:1]):
        tails = [tail.text() for tail in found.tails(part, lines=options.lines, tasks=TASKS)]
        yield from tails or [f"{part}: no task has run, or its lines have expired"]


def _must_be_known(parts: list[str], known: list[str] | tuple[str, ...]) -> None:
    for part in parts:
        if part not in known:
            raise UnknownPart(f"There is no part {part}.", fix=f"Name one of: {', '.join(known)}.")


def _number(text: str) -> int:
    number = int(text)
    if not 0 < number <= MOST_LINES:
        message = f"{number} is not between 1 and {MOST_LINES}"
        raise argparse.ArgumentTypeError(message)
    return number


if __name__ == "__main__":
    sys.exit(main())
