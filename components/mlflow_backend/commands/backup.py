"""Back up a stack's databases, artifacts and keys, show that backups are whole and can be restored, restore one.

Where to is `backup.destination`. The verb `drill` restores a backup beside the live stack and verifies what it serves.
Exit codes: 0 done; 1 a backup is damaged, or a drill did not prove it; 2 usage; 3 refused, nothing was touched; 4 the
platform failed; 5 the drill was inconclusive.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_backend.commands import backup_restore, stacks
from mlflow_backend.commands.backup_verbs import backups_of, chosen, destination_of, say, show
from mlflow_backend.commands.command import ended, with_verbs
from mlflow_backend.contract import ExitCode, PlatformFailed, Refused, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlflow_backend.backup.destination import Destination
    from mlflow_backend.backup.manifest import Manifest
    from mlflow_backend.commands.stacks import Stack

# Each verb imports what it needs: a second of MLflow's tables and of boto3 that a list must not wait for.
# ruff: noqa: PLC0415


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    line = argparse.ArgumentParser(prog="python -m scripts.backup", description=__doc__)
    verb = with_verbs(line, _shared_options)
    verb("new-key", help="make a recovery key, and print its public half").add_argument("file", type=Path)
    verb("create", help="take a backup")
    verb("list", help="list backups, with what drills found")
    verify = verb("verify", help="compare a backup with its manifest: sizes, or with --read checksums")
    verify.add_argument("backup", nargs="?", help="its id (default: the newest)")
    verify.add_argument("--read", action="store_true", help="read all that it names, and compare checksums")
    drill = verb("drill", help="restore a backup beside the live stack, verify it, and remove it")
    drill.add_argument("backup", nargs="?", help="its id (default: the newest)")
    restore = verb("restore", help="restore a backup; what it replaces is kept")
    restore.add_argument("backup", nargs="?", help="its id (default: the newest that a drill proved)")
    restore.add_argument("--undo", action="store_true", help="put back what the last restore replaced")
    verb("prune", help="delete what is older than backup.keepDays, never the newest proved backup")
    return line


def _shared_options(line: argparse.ArgumentParser) -> None:
    line.add_argument("--stack", default="local", help="the stack (default: local)")
    line.add_argument("--destination", metavar="ADDRESS", help="instead of the setting backup.destination")
    line.add_argument("--of", metavar="STACK", help="whose backups, if the stack had another name when they were taken")
    line.add_argument("--json", action="store_true", help="print JSON")
    line.add_argument("--dry-run", action="store_true", help="say what would be written or deleted, and do nothing")
    line.add_argument(
        "--recovery-key",
        metavar="file:PATH",
        help="the private key: what a restore elsewhere needs, and a drill proves",
    )


def main(arguments: list[str] | None = None, *, root: Path | None = None) -> int:
    """Run the command."""
    root = root or Path.cwd()
    options = parser().parse_args(arguments)
    return ended("backup", partial(_run, options, root), options)


def _run(options: argparse.Namespace, root: Path) -> int:
    if options.verb == "new-key":
        return _new_key(options)
    stack = stacks.Stack(options.stack, root)
    settings = stack.settings
    folder = options.destination or settings.backup.destination
    if folder is None:
        raise UsageError(
            "backup.destination is not set", code="backup-no-destination", fix="Set it, or give --destination ADDRESS"
        )
    destination = destination_of(settings, folder, options.of or options.stack)
    verbs: Mapping[str, Callable[[], int]] = {
        "list": lambda: _list(options, stack, destination),
        "verify": lambda: _verify(options, destination),
        "create": lambda: _create(options, stack, destination, settings.backup.recovery_key),
        "drill": lambda: backup_restore.drill(options, stack, destination),
        "restore": lambda: backup_restore.restore(options, stack, destination),
        "prune": lambda: _prune(options, stack, destination, settings.backup.keep_days),
    }
    return verbs[options.verb]()


def _new_key(options: argparse.Namespace) -> int:
    """Write a private key into a new file of mode 600, and print the public one."""
    from mlflow_backend.backup import sealing

    exists = Refused(
        "it exists, and a key that is overwritten opens no backup any more",
        code="recovery-key-exists",
        fix="Name another file",
        part=str(options.file),
    )
    # A link that leads nowhere is a name that is taken, too.
    if options.file.exists() or options.file.is_symlink():
        raise exists
    if options.dry_run:
        show(options, {"file": str(options.file)}, [f"a recovery key would be written to {options.file}"])
        return ExitCode.DONE
    key = sealing.new_key()
    public = sealing.public_key(key)
    try:
        with options.file.open("x", encoding="utf-8") as stream:
            options.file.chmod(0o600)
            stream.write(f"# public key: {public}\n{key}\n")
    except FileExistsError:
        # Somebody has made it meanwhile.
        raise exists from None
    show(options, {"publicKey": public, "file": str(options.file)}, [public])
    return ExitCode.DONE


def _create(options: argparse.Namespace, stack: Stack, destination: Destination, recovery_key: str | None) -> int:
    backups = backups_of(stack)
    if backups.as_deployed and (options.destination or options.of):
        raise UsageError(
            "a task backs up as the last update set it up",
            code="backup-job-as-deployed",
            fix="Leave --destination and --of out",
        )
    if recovery_key is None:
        raise UsageError(
            "backup.recoveryKey is not set",
            code="backup-no-recovery-key",
            fix="Make one with `python -m scripts.backup new-key FILE`; set its public half and backup.destination",
        )
    report = backups.take(destination, recovery_key=recovery_key, dry_run=options.dry_run, say=say)
    if "error" in report:
        say(f"backup: {report['error']}")
        return int(report["exit_code"])
    if options.dry_run:
        found = {name: report[name] for name in ("toRead", "bytes", "unchanged")}
        show(options, found, [f"{found['toRead']} artifacts of {found['bytes']} bytes would be copied"])
    else:
        made = report["backup"]
        show(options, made, [f"backup {made['id']} is whole; no drill has proved it yet"])
    return ExitCode.DONE


def _list(options: argparse.Namespace, stack: Stack, destination: Destination) -> int:
    from mlflow_backend.backup import catalogue
    from mlflow_backend.backup.retention import BackupState

    found = catalogue.read(destination)
    lines = [
        f"{each.id}  {each.listed.state:<8}  {_summary(each.manifest) if each.manifest else each.damage}"
        for each in reversed(found.backups)
    ]
    unfinished = [each.id for each in found.unfinished]
    schedules: Mapping[str, str] = {}
    # Backups of a stack that is lost are listed too.
    with contextlib.suppress(Refused, PlatformFailed):
        schedules = backups_of(stack).schedules()
    document = {
        "backups": [catalogue.document(each) for each in found.backups],
        "unfinished": unfinished,
        "schedules": dict(schedules),
    }
    proved = any(each.state is BackupState.PROVED for each in found.listed)
    lines = [
        *(lines or ["no backups"]),
        *(f"{each}  unfinished" for each in unfinished),
        *([] if proved or not found.backups else ["unproved: no drill has restored any of them"]),
        *(f"{name} on schedule: {words}" for name, words in schedules.items()),
    ]
    show(options, document, lines)
    return ExitCode.DONE


def _verify(options: argparse.Namespace, destination: Destination) -> int:
    from mlflow_backend.backup import catalogue

    found = chosen(destination, options.backup)
    damages = catalogue.damages(destination, found, read_all=options.read)
    how = "by checksums" if options.read else "by sizes"
    document = {"backup": found.id, "read": options.read, "damages": [asdict(each) for each in damages]}
    show(options, document, [f"{found.id}: {each}" for each in damages] or [f"{found.id} is whole, {how}"])
    return ExitCode.VERIFICATION_FAILED if damages else ExitCode.DONE


def _prune(options: argparse.Namespace, stack: Stack, destination: Destination, keep_days: int) -> int:
    from mlflow_backend.backup import prune
    from mlflow_backend.backup.create import LOCK

    with backups_of(stack).store.locked(LOCK, by="scripts.backup prune"):
        pruning = prune.planned(destination, keep_days=keep_days)
        if not options.dry_run:
            prune.prune(destination, pruning)
    deleted = "would be deleted" if options.dry_run else "deleted"
    lines = [f"{backup}  {deleted}: {why}" for backup, why in pruning.plan.deleted.items()]
    lines += [f"{backup}  kept: {why}" for backup, why in pruning.plan.kept.items()]
    lines.append(f"{len(pruning.contents)} contents of {pruning.content_bytes} bytes {deleted}")
    document = {**asdict(pruning.plan), "contents": len(pruning.contents), "bytes": pruning.content_bytes}
    show(options, document, lines)
    return ExitCode.DONE


def _summary(found: Manifest) -> str:
    return f"MLflow {found.mlflow_version}, {found.artifacts.files} artifacts of {found.artifacts.size_bytes} bytes"


if __name__ == "__main__":
    sys.exit(main())
