"""Common parts of the verbs of `commands.backup`: destination, chosen backup, keys, and what is printed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend import targets
from mlflow_backend.contract import PlatformFailed, Refused, UsageError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping

    from mlflow_backend.backup.catalogue import Backup
    from mlflow_backend.backup.destination import Destination
    from mlflow_backend.backup.manifest import Manifest
    from mlflow_backend.commands.stacks import Stack
    from mlflow_backend.settings import Settings
    from mlflow_backend.target import Backups

# Each verb imports what it needs: a second of MLflow's tables and of boto3 that a list must not wait for.
# ruff: noqa: PLC0415

S3: Final = "s3://"
GCS: Final = "gs://"
_FILE = "file:"
_CONNECT_S: Final = 10


def backups_of(stack: Stack) -> Backups:
    """Return how the backups of a deployed stack are taken."""
    locator = stack.locator()
    return targets.get(locator.kind).backups(locator, stack.root / f"Pulumi.{stack.name}.yaml")


def destination_of(settings: Settings, address: str, stack: str) -> Destination:
    """Return where the backups of a stack are; nothing is asked yet.

    A bucket is asked as whoever runs the command. One of S3 is that of the shell's surroundings, unless the settings
    name an endpoint or a region for backups.
    """
    if address.startswith(S3):
        import boto3
        from botocore.config import Config

        from mlflow_backend.aws.backups import BucketDestination
        from mlflow_backend.aws.render.policies import S3Root

        found, wanted = S3Root.at(address, stack), settings.kubernetes.backup
        region = wanted.region if wanted.model_fields_set else None
        patience = Config(connect_timeout=_CONNECT_S)
        client = boto3.client("s3", endpoint_url=wanted.endpoint, region_name=region, config=patience)
        return BucketDestination(client, bucket=found.bucket, root=found.root)
    if address.startswith(GCS):
        from mlflow_backend.gcp.api import shared
        from mlflow_backend.gcp.backups import BucketDestination as GoogleDestination
        from mlflow_backend.gcp.root import GcsRoot

        return GoogleDestination(shared(), GcsRoot.at(address, stack))
    from mlflow_backend.backup.destination import FolderDestination

    return FolderDestination(Path(address) / stack)


def backups_at(stack: Stack) -> tuple[Backup, ...] | None:
    """Return the backups at a stack's own destination, oldest first; None without one.

    Raises SettingsError, and PlatformFailed if whoever runs the command cannot read it.
    """
    from mlflow_backend.backup import catalogue

    settings = stack.settings
    if (address := settings.backup.destination) is None:
        return None
    return catalogue.read(destination_of(settings, address, stack.name)).backups


def newest_of(stack: Stack) -> str | None:
    """Return in a few words which backup of a stack is the newest, however it was taken; None without a destination.

    It is read from the destination: a task or a timer knows of its own work alone. Raises SettingsError.
    """
    try:
        found = backups_at(stack)
    except PlatformFailed as failure:
        return f"not known: {failure}"
    if found is None:
        return None
    if not found:
        return "none yet"
    return f"{found[-1].id}, {found[-1].listed.state}, taken {found[-1].taken_at:%F %T}Z"


def chosen(destination: Destination, wanted: str | None) -> Manifest:
    """Return the named backup's manifest, or the newest one's."""
    from mlflow_backend.backup import catalogue
    from mlflow_backend.backup.selection import to_drill, to_restore

    found = catalogue.read(destination)
    chosen = to_restore(found.listed, wanted) if wanted else to_drill(found.listed)
    return manifest_of(found.get(chosen.id))


def manifest_of(backup: Any) -> Manifest:
    """Return the manifest of a listed backup. Raises Refused if it cannot be read."""
    if backup.manifest is None:
        raise Refused(
            backup.damage, code="backup-without-manifest", fix="Name another backup", part=f"manifest of {backup.id}"
        )
    found: Manifest = backup.manifest
    return found


def recovery_key(options: argparse.Namespace) -> str | None:
    """Return the private key in the file that the command line names; None without one."""
    from mlflow_backend.backup import sealing

    if options.recovery_key is None:
        return None
    if not options.recovery_key.startswith(_FILE):
        raise UsageError(
            "it is no reference to a file", code="recovery-key-not-a-file", fix="Write file:PATH", part="--recovery-key"
        )
    return sealing.read_key(Path(options.recovery_key.removeprefix(_FILE)))


def show(options: argparse.Namespace, document: Mapping[str, Any], lines: list[str]) -> None:
    """Print what was found or done, for programs or for people."""
    print(json.dumps(document, indent=1, default=str) if options.json else "\n".join(lines))


def say(line: str) -> None:
    """Print a line of progress."""
    print(line, file=sys.stderr, flush=True)
