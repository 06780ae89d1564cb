"""Work of a local stack that repeats: which commands run on which schedule, and the program that starts them. Pure."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.local.render import Program
from mlflow_backend.schedules import NEVER

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from mlflow_backend.local.state import StateDir
    from mlflow_backend.settings import Settings

PROGRAM: Final = "timer"
VERIFICATION: Final = "verification"
# What a command that is interrupted has to remove what it works with: a drill has a stack of its own.
STOP_S: Final = 60


@dataclass(frozen=True, kw_only=True)
class Work:
    """Commands that run one after another when a schedule says so; the first that fails ends the work.

    Each command is a module of `mlflow_backend.commands`, and its arguments.
    """

    name: str
    schedule: str
    commands: tuple[tuple[str, ...], ...]


def works(settings: Settings, *, stack: str) -> tuple[Work, ...]:
    """Return all that the settings schedule."""
    return (
        *verifications(settings, stack=stack),
        *backups(settings, stack=stack),
        *maintenance(settings, stack=stack),
    )


def backups(settings: Settings, *, stack: str) -> tuple[Work, ...]:
    """Return the backups and drills that the settings schedule.

    Who may write to a bucket is not to delete from it, so that only a folder is pruned after each backup.
    """
    backup = settings.backup
    if backup.destination is None:
        return ()
    verbs = ("create", "prune") if backup.destination.startswith("/") else ("create",)
    wanted = (
        Work(name="backup", schedule=backup.schedule, commands=tuple(_backup(verb, stack) for verb in verbs)),
        Work(name="drill", schedule=backup.drill_schedule, commands=(_backup("drill", stack),)),
    )
    return tuple(work for work in wanted if work.schedule != NEVER)


def maintenance(settings: Settings, *, stack: str) -> tuple[Work, ...]:
    """Return the maintenance that the settings schedule."""
    schedule = settings.maintain.schedule
    work = Work(name="maintenance", schedule=schedule, commands=(("maintain", "--stack", stack),))
    return () if schedule == NEVER else (work,)


def verifications(settings: Settings, *, stack: str) -> tuple[Work, ...]:
    """Return the verification between updates."""
    schedule = settings.verify.schedule or NEVER
    options = ("--profile", settings.verify.profile, "--deadline", str(settings.verify.deadline))
    work = Work(name=VERIFICATION, schedule=schedule, commands=(("verify", "--stack", stack, *options),))
    return () if schedule == NEVER else (work,)


def program(state: StateDir, project: Path, works: Iterable[dict[str, Any]]) -> Program:
    """Return the supervised timer of these works, which are documents; their commands run in the project's folder."""
    documents = (json.dumps(work, sort_keys=True) for work in works)
    return Program(
        name=PROGRAM,
        argv=(sys.executable, "-m", "mlflow_backend.local.timer", str(state.path), str(project), *documents),
        stop_timeout_s=STOP_S + 10,
    )


def works_of(timer: Program) -> tuple[dict[str, Any], ...]:
    """Return the works that a timer was started with, as documents."""
    return tuple(json.loads(document) for document in timer.argv[5:])


def _backup(verb: str, stack: str) -> tuple[str, ...]:
    return ("backup", "--stack", stack, verb)
