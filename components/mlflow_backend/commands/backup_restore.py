"""The verbs of `commands.backup` that restore: onto the stack, or beside it on this machine for a drill."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import TYPE_CHECKING

from mlflow_backend.commands.backup_verbs import backups_of, chosen, manifest_of, recovery_key, say, show
from mlflow_backend.contract import ExitCode

if TYPE_CHECKING:
    import argparse

    from mlflow_backend.backup.destination import Destination
    from mlflow_backend.commands.stacks import Stack

# Each verb imports what it needs: a second of MLflow's tables and of boto3 that a list must not wait for.
# ruff: noqa: PLC0415


def drill(options: argparse.Namespace, stack: Stack, destination: Destination) -> int:
    """Restore a backup on this machine beside the live stack, verify what it serves, and remove it."""
    from mlflow_backend.backup import drill as results
    from mlflow_backend.local import drills
    from mlflow_backend.local.state import StateDir

    found = chosen(destination, options.backup)
    if options.dry_run:
        show(options, {"backup": found.id}, [f"{found.id} would be restored beside the live stack and verified"])
        return ExitCode.DONE
    beside, backups = StateDir(stack.folder / stack.name), backups_of(stack)
    result = drills.drill(beside, backups, destination, found, recovery_key=recovery_key(options), say=say)
    missing = "" if options.recovery_key else ": give --recovery-key"
    keys = "keys opened by the recovery key" if result.keys_proved else f"keys unproved{missing}"
    times = f"restored and verified in {result.rto_s} s, " if result.rto_s is not None else ""
    lines = [
        f"{found.id}: {result.outcome}; {times}{result.rpo_s} s old at the start; {keys}",
        *result.notes,
        # Last, because the last line is what the timer shows of a failure.
        *result.findings,
    ]
    show(options, json.loads(results.encode(result)), lines)
    codes = {
        results.Outcome.PROVED: ExitCode.DONE,
        results.Outcome.DAMAGED: ExitCode.VERIFICATION_FAILED,
        results.Outcome.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
    }
    return codes[result.outcome]


def restore(options: argparse.Namespace, stack: Stack, destination: Destination) -> int:
    """Restore a backup onto the stack, or put back what the last restore replaced."""
    if options.undo:
        return _undo(options, stack)
    from mlflow_backend.backup import catalogue
    from mlflow_backend.backup import restore as restoring
    from mlflow_backend.backup.selection import to_restore

    source = backups_of(stack).source()
    listed = catalogue.read(destination)
    found = manifest_of(listed.get(to_restore(listed.listed, options.backup).id))
    key = recovery_key(options)
    planned = restoring.plan(source, destination, found, has_key=key is not None)
    if options.dry_run:
        document = {
            "backup": found.id,
            "elsewhere": planned.elsewhere,
            "missing": len(planned.missing),
            "different": list(planned.different),
        }
        show(options, document, list(planned.lines()))
        return ExitCode.DONE
    for line in planned.lines():
        say(line)
    restoring.restore(source, destination, planned, key=key or source.vault.private_key(), say=say)
    done = f"{found.id} is restored; now `make up STACK={options.stack}`, which verifies it"
    back = "what it replaced is kept: `restore --undo` puts it back"
    show(options, {"restored": found.id}, [done, back])
    return ExitCode.DONE


def _undo(options: argparse.Namespace, stack: Stack) -> int:
    from mlflow_backend.backup import undo

    source = backups_of(stack).source()
    if options.dry_run:
        planned = undo.plan(source)
        show(options, asdict(planned), list(planned.lines()))
        return ExitCode.DONE
    undone = undo.undo(source, say=say)
    show(options, {"undone": undone}, [f"the restore of {undone} is undone; now `make up STACK={options.stack}`"])
    return ExitCode.DONE
