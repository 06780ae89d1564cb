"""Plan an upgrade of a stack's MLflow: what is migrated, what is lost and gained, and what going back would cost.

It changes nothing. Locations of artifacts are counted in the database by its tool, in the cloud and in a cluster by a
one-shot task. Clients are counted in the last lines of the servers' access log.

Exit codes: 0 planned; 2 usage; 3 refused, because the stack is not deployed or the version cannot follow; 4 the
platform failed.
"""

from __future__ import annotations

import argparse
import json
import sys
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlflow_backend.commands import stacks
from mlflow_backend.commands.backup_verbs import backups_at
from mlflow_backend.commands.command import ended
from mlflow_backend.contract import ExitCode, PlatformFailed, Refused, UsageError
from mlflow_backend.environments import locked_versions
from mlflow_backend.migrate.forecast import Seen
from mlflow_backend.migrate.known import forecast
from mlflow_backend.migrate.upgrade import Upgrade, clients_in
from mlflow_backend.releases import durations
from mlflow_backend.server import parse_version

if TYPE_CHECKING:
    from mlflow_backend.deployed import DeployedBackend
    from mlflow_backend.server import MlflowVersion

LOG_LINES: Final = 10_000
"""Of each server: what one answer of CloudWatch may hold, as `scripts.logs` asks for."""


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    line = argparse.ArgumentParser(prog="python -m scripts.upgrade", description=__doc__)
    stacks.add_choice(line)
    line.add_argument("--to", required=True, metavar="V", help="the MLflow version to upgrade to")
    line.add_argument("--json", action="store_true", help="print JSON instead of lines")
    return line


def main(arguments: list[str] | None = None, *, root: Path | None = None) -> int:
    """Run the command."""
    options = parser().parse_args(arguments)
    return ended("upgrade", partial(_plan, options, root or Path.cwd()), options)


def _plan(options: argparse.Namespace, root: Path) -> ExitCode:
    try:
        to = parse_version(options.to)
    except ValueError as error:
        raise UsageError(f"--to: {error}", code="version-malformed") from None
    found = replace(_upgrade(stacks.opened(options, root), to), drill_s=_drill_s(options, root))
    print(json.dumps(found.document(), indent=2) if options.json else "\n".join(found.lines()))
    return ExitCode.DONE


def _upgrade(backend: DeployedBackend, to: MlflowVersion) -> Upgrade:
    context = backend.rollback_context(verify_checksums=False)
    revision = backend.subject().expected_revision or ""
    served = parse_version(backend.platform.describe(revision).release.mlflow_version)
    made = forecast(".".join(map(str, to)), Seen(heads=context.live) if context.live else None)
    if refusal := made.refusal():
        raise Refused(refusal, code="version-behind-schema")
    found: dict[str, dict[str, int]] = {}
    not_asked = ""
    try:
        found = backend.platform.tool(None).roots()
    except (Refused, PlatformFailed) as error:
        not_asked = str(error)
    dumps = context.contents.dumps
    logs = (part.name for part in backend.platform.log_parts() if part.name.startswith("server") and not part.one_shot)
    tails = (text for name in logs for text in backend.platform.tails(name, lines=LOG_LINES))
    return Upgrade(
        served=served,
        to=to,
        forecast=made,
        store=backend.platform.artifacts,
        roots=found,
        not_asked=not_asked,
        clients=clients_in(line for text in tails for line in text.splitlines()),
        dump_bytes=dumps[-1].size_bytes if dumps else None,
        locked=".".join(map(str, to)) in locked_versions(),
        migration_s=durations.kept(backend.store, revision).migration_s,
    )


def _drill_s(options: argparse.Namespace, root: Path) -> float | None:
    """Return how long the newest drill of the stack's backups took that restored one; None if none is known."""
    if options.locator is not None or not (root / f"Pulumi.{options.stack}.yaml").exists():
        return None
    try:
        backups = backups_at(stacks.Stack(options.stack, root)) or ()
    except PlatformFailed:
        # A plan is worth having while the disk with the backups is elsewhere; it then names no time.
        return None
    drills = [drill for backup in backups for drill in backup.drills if drill.rto_s is not None]
    return max(drills, key=lambda drill: drill.started_at).rto_s if drills else None


if __name__ == "__main__":
    sys.exit(main())
