"""Plan an upgrade of a stack's MLflow: what is migrated, what is lost and gained, and what going back would cost.

It changes nothing. Locations of artifacts are counted in the database if it can be read from here, else asked through
the URL that users call. Clients are counted in the last lines of the servers' access log.

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
from mlflow_backend.commands.command import ended
from mlflow_backend.contract import ExitCode, PlatformFailed, Refused, UsageError
from mlflow_backend.migrate.forecast import Seen
from mlflow_backend.migrate.known import forecast
from mlflow_backend.migrate.locations import roots
from mlflow_backend.migrate.upgrade import Upgrade, clients_in
from mlflow_backend.releases import durations
from mlflow_backend.server import parse_version

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mlflow_backend.deployed import DeployedBackend
    from mlflow_backend.server import MlflowVersion
    from mlflow_backend.verify.subjects import Subject

LOG_LINES: Final = 10_000
"""Of each server: what one answer of CloudWatch may hold, as `scripts.logs` asks for."""
PAGE: Final = 1_000
"""Entries that MLflow gives at once."""
ASK_S: Final = 120.0
"""For all pages together."""


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
    context, subject = backend.rollback_context(verify_checksums=False), backend.subject()
    revision = subject.expected_revision or ""
    served = parse_version(backend.platform.describe(revision).release.mlflow_version)
    made = forecast(".".join(map(str, to)), Seen(heads=context.live) if context.live else None)
    if refusal := made.refusal():
        raise Refused(refusal, code="version-behind-schema")
    found, not_asked = backend.platform.roots(), ""
    try:
        found = found or {
            "experiments": roots(_locations(subject, "experiments/search")),
            "model_versions": roots(_locations(subject, "model-versions/search")),
        }
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
        migration_s=durations.kept(backend.store, revision).migration_s,
    )


def _drill_s(options: argparse.Namespace, root: Path) -> float | None:
    """Return how long the newest drill of the stack's backups took that restored one; None if none is known."""
    if options.locator is not None or not (root / f"Pulumi.{options.stack}.yaml").exists():
        return None
    address = stacks.Stack(options.stack, root).settings.backup.destination
    if address is None:
        return None
    # As above: most stacks have no such backups.
    from mlflow_backend.backup import catalogue  # noqa: PLC0415
    from mlflow_backend.commands.backup_verbs import destination_of  # noqa: PLC0415

    try:
        backups = catalogue.read(destination_of(address, options.stack)).backups
    except PlatformFailed:
        # A plan is worth having while the disk with the backups is elsewhere; it then names no time.
        return None
    drills = [drill for backup in backups for drill in backup.drills if drill.rto_s is not None]
    return max(drills, key=lambda drill: drill.started_at).rto_s if drills else None


def _locations(subject: Subject, call: str) -> Iterator[str]:
    """Yield where the experiments, or the versions of models, keep their artifacts. Raises Refused, PlatformFailed."""
    # A second of imports that whoever mistypes a version must not wait for.
    from mlflow_backend.verification import execution  # noqa: PLC0415
    from mlflow_backend.verify.answers import Answer  # noqa: PLC0415
    from mlflow_backend.verify.client import Client, Deadline, Transport  # noqa: PLC0415
    from mlflow_backend.verify.credentials import resolve  # noqa: PLC0415
    from mlflow_backend.verify.model import Request, Unexpected  # noqa: PLC0415

    asked = execution.asking(subject)
    login = resolve(asked.credentials, asked.live.secrets)
    transport = Transport(ca_file=asked.ca_file, insecure=asked.insecure)
    client = Client(asked.url, login, transport, request_timeout_s=30, version=asked.expected_version)
    items, field = ("experiments", "artifact_location") if call.startswith("exp") else ("model_versions", "source")
    deadline, token = Deadline(ASK_S), ""
    try:
        while True:
            query = {"max_results": str(PAGE), **({"page_token": token} if token else {})}
            if items == "experiments":
                query["view_type"] = "ALL"
            answer = Answer.of(client.send(Request("GET", f"/api/2.0/mlflow/{call}", query=query), deadline=deadline))
            yield from (str(item.get(field, "")) for item in answer.items(items))
            token = str(answer.document.get("next_page_token") or "")
            if not token:
                return
    except Unexpected as unexpected:
        answered = unexpected.exchange.status or unexpected.exchange.trouble
        raise PlatformFailed(
            f"{unexpected.exchange.called} answered {answered}",
            code="locations-not-asked",
            fix="Run it where the backend's URL can be called",
        ) from None
    finally:
        client.close()


if __name__ == "__main__":
    sys.exit(main())
