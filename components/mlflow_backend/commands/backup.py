"""Back up a stack's databases, artifacts and keys, show that backups are whole and can be restored, restore one.

Where to is `backup.destination`. The verb `drill` restores a backup beside the live stack and verifies what it serves.
Exit codes: 0 done; 1 a backup is damaged, or a drill did not prove it; 2 usage; 3 refused, nothing was touched; 4 the
platform failed; 5 the drill was inconclusive.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow_backend.commands import stacks
from mlflow_backend.commands.command import ended
from mlflow_backend.contract import ExitCode, PlatformFailed, Refused, UsageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlflow_backend.backup.destination import Destination
    from mlflow_backend.backup.manifest import Manifest
    from mlflow_backend.backup.source import DeployedSource
    from mlflow_backend.commands.stacks import Stack
    from mlflow_backend.kubernetes.platform import KubernetesPlatform
    from mlflow_backend.local.state import StateDir

# Each verb imports what it needs: a second of MLflow's tables and of boto3 that a list must not wait for.
# ruff: noqa: PLC0415

_FILE = "file:"
_S3 = "s3://"


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    line = argparse.ArgumentParser(prog="python -m scripts.backup", description=__doc__)
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
    verbs = line.add_subparsers(dest="verb", required=True)
    verbs.add_parser("new-key", help="make a recovery key, and print its public half").add_argument("file", type=Path)
    verbs.add_parser("create", help="take a backup")
    verbs.add_parser("list", help="list backups, with what drills found")
    verify = verbs.add_parser("verify", help="compare a backup with its manifest: sizes, or with --read checksums")
    verify.add_argument("backup", nargs="?", help="its id (default: the newest)")
    verify.add_argument("--read", action="store_true", help="read all that it names, and compare checksums")
    drill = verbs.add_parser("drill", help="restore a backup beside the live stack, verify it, and remove it")
    drill.add_argument("backup", nargs="?", help="its id (default: the newest)")
    restore = verbs.add_parser("restore", help="restore a backup; what it replaces is kept")
    restore.add_argument("backup", nargs="?", help="its id (default: the newest that a drill proved)")
    restore.add_argument("--undo", action="store_true", help="put back what the last restore replaced")
    verbs.add_parser("prune", help="delete what is older than backup.keepDays, never the newest proved backup")
    return line


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
    reached = settings.kubernetes.backup
    destination = destination_of(
        folder,
        options.of or options.stack,
        endpoint=reached.endpoint,
        region=reached.region if reached.model_fields_set else None,
    )
    verbs: Mapping[str, Callable[[], int]] = {
        "list": lambda: _list(options, stack, destination),
        "verify": lambda: _verify(options, destination),
        "create": lambda: _create(options, stack, destination, settings.backup.recovery_key),
        "drill": lambda: _drill(options, stack, destination),
        "restore": lambda: _restore(options, stack, destination),
        "prune": lambda: _prune(options, stack, destination, settings.backup.keep_days),
    }
    return verbs[options.verb]()


def _new_key(options: argparse.Namespace) -> int:
    """Write a private key into a new file of mode 600, and print the public one."""
    from mlflow_backend.backup import sealing

    key = sealing.new_key()
    public = sealing.public_key(key)
    try:
        with options.file.open("x", encoding="utf-8") as stream:
            options.file.chmod(0o600)
            stream.write(f"# public key: {public}\n{key}\n")
    except FileExistsError:
        raise Refused(
            "it exists, and a key that is overwritten opens no backup any more",
            code="recovery-key-exists",
            fix="Name another file",
            part=str(options.file),
        ) from None
    _show(options, {"publicKey": public, "file": str(options.file)}, [public])
    return ExitCode.DONE


def _create(options: argparse.Namespace, stack: Stack, destination: Destination, recovery_key: str | None) -> int:
    from mlflow_backend.backup import create

    if (platform := _cluster(stack)) is not None:
        return _create_by_job(options, platform)
    source = _source(stack)
    if recovery_key is None:
        raise UsageError(
            "backup.recoveryKey is not set", code="backup-no-recovery-key", fix="Make one with the verb new-key, set it"
        )
    if options.dry_run:
        plan = create.planned(source, destination)
        found = {"toRead": len(plan.to_read), "bytes": plan.bytes_to_read, "unchanged": len(plan.unchanged)}
        _show(options, found, [f"{len(plan.to_read)} artifacts of {plan.bytes_to_read} bytes would be copied"])
        return ExitCode.DONE
    if not destination.name.startswith(_S3):
        _say(f"{destination.name}: nothing on a folder keeps others from changing or deleting backups")
    made = create.create(source, destination, recovery_key=recovery_key, say=_say)
    _show(options, _document(made), [f"backup {made.id} is whole; no drill has proved it yet"])
    return ExitCode.DONE


def _create_by_job(options: argparse.Namespace, platform: KubernetesPlatform) -> int:
    """Let the cluster take the backup, from where destination and stores are reached with its own Secrets."""
    from mlflow_backend.kubernetes import backups

    if options.destination or options.of:
        raise UsageError(
            "the Job in the cluster backs up as the last update set it up",
            code="backup-job-as-deployed",
            fix="Leave --destination and --of out",
        )
    _say("a Job in the cluster takes the backup")
    report = backups.taken(platform.api, platform.naming, dry_run=options.dry_run)
    code = int(report.pop("exit_code"))
    if "error" in report:
        _say(f"backup: {report['error']}")
        return code
    if options.dry_run:
        lines = [f"{report['toRead']} artifacts of {report['bytes']} bytes would be copied"]
    else:
        report = report["backup"]
        lines = [f"backup {report['id']} is whole; no drill has proved it yet"]
    _show(options, report, lines)
    return code


def _list(options: argparse.Namespace, stack: Stack, destination: Destination) -> int:
    from mlflow_backend.backup import catalogue
    from mlflow_backend.backup.retention import Standing

    found = catalogue.read(destination)
    lines = [
        f"{each.id}  {each.listed.standing:<8}  {_summary(each.manifest) if each.manifest else each.damage}"
        for each in reversed(found.backups)
    ]
    unfinished = [each.id for each in found.unfinished]
    schedules: Mapping[str, str] = {}
    # Backups of a stack that is lost are listed too.
    with contextlib.suppress(Refused, PlatformFailed):
        schedules = _schedules(stack)
    document = {
        "backups": [catalogue.document(each) for each in found.backups],
        "unfinished": unfinished,
        "schedules": dict(schedules),
    }
    proved = any(each.standing is Standing.PROVED for each in found.listed)
    lines = [
        *(lines or ["no backups"]),
        *(f"{each}  unfinished" for each in unfinished),
        *([] if proved or not found.backups else ["unproved: no drill has restored any of them"]),
        *(f"{name} on schedule: {words}" for name, words in schedules.items()),
    ]
    _show(options, document, lines)
    return ExitCode.DONE


def _verify(options: argparse.Namespace, destination: Destination) -> int:
    from mlflow_backend.backup import catalogue

    found = _chosen(destination, options.backup)
    damages = catalogue.damages(destination, found, read_all=options.read)
    how = "by checksums" if options.read else "by sizes"
    document = {"backup": found.id, "read": options.read, "damages": [asdict(each) for each in damages]}
    _show(options, document, [f"{found.id}: {each}" for each in damages] or [f"{found.id} is whole, {how}"])
    return ExitCode.VERIFICATION_FAILED if damages else ExitCode.DONE


def _drill(options: argparse.Namespace, stack: Stack, destination: Destination) -> int:
    from mlflow_backend.backup import drill as results
    from mlflow_backend.local import drills

    found = _chosen(destination, options.backup)
    if options.dry_run:
        _show(options, {"backup": found.id}, [f"{found.id} would be restored beside the live stack and verified"])
        return ExitCode.DONE
    key = _recovery_key(options)
    result = drills.drill(_state(stack), destination, found, recovery_key=key, say=_say)
    keys = "keys opened by the recovery key" if result.keys_proved else "keys unproved: give --recovery-key"
    times = f"restored and verified in {result.rto_s} s, " if result.rto_s is not None else ""
    lines = [
        f"{found.id}: {result.outcome}; {times}{result.rpo_s} s old at the start; {keys}",
        *result.notes,
        # Last, because the last line is what the timer shows of a failure.
        *result.findings,
    ]
    _show(options, json.loads(results.encode(result)), lines)
    codes = {
        results.Outcome.PROVED: ExitCode.DONE,
        results.Outcome.DAMAGED: ExitCode.VERIFICATION_FAILED,
        results.Outcome.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
    }
    return codes[result.outcome]


def _restore(options: argparse.Namespace, stack: Stack, destination: Destination) -> int:
    from mlflow_backend.backup import catalogue, restore
    from mlflow_backend.backup.selection import to_restore

    source = _source(stack)
    if options.undo:
        if options.dry_run:
            raise UsageError("--undo takes no --dry-run", code="undo-dry-run", fix="Leave one of them out")
        undone = restore.undo(source, say=_say)
        _show(options, {"undone": undone}, [f"the restore of {undone} is undone; now `make up STACK={options.stack}`"])
        return ExitCode.DONE
    listed = catalogue.read(destination)
    found = _manifest(listed.get(to_restore(listed.listed, options.backup).id))
    key = _recovery_key(options)
    planned = restore.plan(source, destination, found, has_key=key is not None)
    if options.dry_run:
        _show(options, {"backup": found.id, "elsewhere": planned.elsewhere}, list(planned.lines()))
        return ExitCode.DONE
    for line in planned.lines():
        _say(line)
    restore.restore(source, destination, planned, key=key or source.vault.private_key(), say=_say)
    done = f"{found.id} is restored; now `make up STACK={options.stack}`, which verifies it"
    _show(options, {"restored": found.id}, [done])
    return ExitCode.DONE


def _prune(options: argparse.Namespace, stack: Stack, destination: Destination, keep_days: int) -> int:
    from mlflow_backend.backup import prune
    from mlflow_backend.backup.create import LOCK

    platform = _cluster(stack)
    store = _source(stack).store if platform is None else platform.store
    with store.locked(LOCK, by="scripts.backup prune"):
        pruning = prune.planned(destination, keep_days=keep_days)
        if not options.dry_run:
            prune.prune(destination, pruning)
    deleted = "would be deleted" if options.dry_run else "deleted"
    lines = [f"{backup}  {deleted}: {why}" for backup, why in pruning.plan.deleted.items()]
    lines += [f"{backup}  kept: {why}" for backup, why in pruning.plan.kept.items()]
    lines.append(f"{len(pruning.contents)} contents of {pruning.content_bytes} bytes {deleted}")
    document = {**asdict(pruning.plan), "contents": len(pruning.contents), "bytes": pruning.content_bytes}
    _show(options, document, lines)
    return ExitCode.DONE


def destination_of(address: str, stack: str, *, endpoint: str | None = None, region: str | None = None) -> Destination:
    """Return where the backups of a stack are; nothing is asked yet.

    A bucket is that of the shell's surroundings, unless it has an endpoint or a region of its own.
    """
    if address.startswith(_S3):
        import boto3

        from mlflow_backend.aws.backups import BucketDestination

        bucket, _, root = address.removeprefix(_S3).partition("/")
        client = boto3.client("s3", endpoint_url=endpoint, region_name=region)
        return BucketDestination(client, bucket=bucket, root=f"{root}/{stack}".lstrip("/"))
    from mlflow_backend.backup.destination import FolderDestination

    return FolderDestination(Path(address) / stack)


def _source(stack: Stack) -> DeployedSource:
    """Return the deployed stack as backups see it."""
    from mlflow_backend.local.backups import source_of

    return source_of(_state(stack), settings=(stack.root / f"Pulumi.{stack.name}.yaml").read_bytes())


def _state(stack: Stack) -> StateDir:
    """Return the folder of the stack. Raises Refused for a target on which this is not built."""
    from mlflow_backend.local.locator import LocalLocator

    found = stack.locator()
    if not isinstance(found, LocalLocator):
        raise Refused(
            f"On the target {found.kind} this is not built yet.",
            code="backup-of-platform",
            fix="See docs/runbooks/backup.md.",
        )
    return found.state


def _cluster(stack: Stack) -> KubernetesPlatform | None:
    """Return the live side of a stack in a cluster; None for one elsewhere."""
    from mlflow_backend.kubernetes.locator import KubernetesLocator

    found = stack.locator()
    if not isinstance(found, KubernetesLocator):
        return None
    from mlflow_backend.kubernetes.platform import KubernetesPlatform

    return KubernetesPlatform(found)


def _schedules(stack: Stack) -> Mapping[str, str]:
    """Return how the work of each schedule went."""
    if (platform := _cluster(stack)) is not None:
        from mlflow_backend.kubernetes import backups

        return backups.schedules(platform.api, platform.naming)
    from mlflow_backend.local import timer

    return timer.described(_state(stack))


def _chosen(destination: Destination, wanted: str | None) -> Manifest:
    """Return the named backup's manifest, or the newest one's."""
    from mlflow_backend.backup import catalogue
    from mlflow_backend.backup.selection import to_drill, to_restore

    found = catalogue.read(destination)
    chosen = to_restore(found.listed, wanted) if wanted else to_drill(found.listed)
    return _manifest(found.get(chosen.id))


def _manifest(backup: Any) -> Manifest:
    if backup.manifest is None:
        raise Refused(
            backup.damage, code="backup-without-manifest", fix="Name another backup", part=f"manifest of {backup.id}"
        )
    found: Manifest = backup.manifest
    return found


def _recovery_key(options: argparse.Namespace) -> str | None:
    from mlflow_backend.backup import sealing

    if options.recovery_key is None:
        return None
    if not options.recovery_key.startswith(_FILE):
        raise UsageError(
            "it is no reference to a file", code="recovery-key-not-a-file", fix="Write file:PATH", part="--recovery-key"
        )
    return sealing.read_key(Path(options.recovery_key.removeprefix(_FILE)))


def _summary(found: Manifest) -> str:
    return f"MLflow {found.mlflow_version}, {found.artifacts.files} artifacts of {found.artifacts.size_bytes} bytes"


def _document(found: Manifest) -> dict[str, Any]:
    from mlflow_backend.backup import manifest

    return dict(json.loads(manifest.encode(found)))


def _show(options: argparse.Namespace, document: Mapping[str, Any], lines: list[str]) -> None:
    print(json.dumps(document, indent=1, default=str) if options.json else "\n".join(lines))


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
