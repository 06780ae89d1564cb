"""The backup of a backend that a task in the backend's own network takes (`backup.job`), whatever its stores are on.

It runs in the server's image: each import here is in MLflow's environment, and the database tool is a process beside
it. It asks no platform: which release serves is the ledger's word.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow_backend.backup import create, job
from mlflow_backend.backup.source import Source, recorded
from mlflow_backend.codec import from_document
from mlflow_backend.contract import BackendError, ExitCode
from mlflow_backend.migrate.tool import MODULE, Code, DatabaseTool, ToolResult, tool_failed
from mlflow_backend.releases.ledger import Ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from mlflow_backend.backup.destination import Destination
    from mlflow_backend.backup.job import BackupJob
    from mlflow_backend.backup.source import Artifacts, Secrets
    from mlflow_backend.releases.stores import Store


@dataclass(frozen=True, kw_only=True)
class Stores:
    """What a backup reads and writes: the backend's own objects, also as a destination, its artifacts, and where to.

    Below the address `staging` the database tool dumps; `own` has the same objects.
    """

    store: Store
    staging: str
    own: Destination
    artifacts: Artifacts
    destination: Destination


def main(arguments: Sequence[str], stores: Callable[[BackupJob], Stores]) -> int:
    """Take the backup that the folder of the first argument describes, with the secrets in that of the second, if any.

    Print the report as JSON, at the end. With --dry-run only what would be copied is said.
    """
    folder, *secrets = (Path(each) for each in arguments if each != job.DRY_RUN)
    vault = Mounted(secrets[0]) if secrets else Given(os.environ)
    try:
        found = _taken(folder, vault, stores, dry_run=job.DRY_RUN in arguments)
        report = {"exit_code": int(ExitCode.DONE), **found}
    except BackendError as failure:
        report = {"exit_code": int(failure.exit_code), "code": failure.code, "error": str(failure)}
    sys.stdout.write(f"{json.dumps(report, indent=1)}\n")
    return int(report["exit_code"])


def _taken(folder: Path, vault: Secrets, stores: Callable[[BackupJob], Stores], *, dry_run: bool) -> dict[str, Any]:
    wanted = from_document(job.BackupJob, json.loads((folder / job.JOB).read_text(encoding="utf-8")))
    found = stores(wanted)
    source = _source(wanted, found, vault=vault, settings=(folder / job.SETTINGS).read_bytes())
    report = create.reported(source, found.destination, recovery_key=wanted.recovery_key, dry_run=dry_run, say=_say)
    if not dry_run:
        # One line, which a platform that counts lines of logs counts.
        _say(json.dumps({"backedUp": wanted.stack}))
    return report


def _source(wanted: BackupJob, found: Stores, *, vault: Secrets, settings: bytes) -> Source:
    """Return the backend as its own task sees it."""
    ledger = Ledger(found.store, by=create.BY)
    return Source(
        target=wanted.target,
        store=found.store,
        ledger=ledger,
        served=lambda: recorded(ledger),
        # The image is the one of the last update, which also dumps the older schema that a rollback restored.
        tool=lambda _version: DatabaseTool(Beside()),
        artifacts=found.artifacts,
        vault=vault,
        staging=found.staging,
        own=found.own,
        stack=wanted.stack,
        settings=settings,
    )


class Beside:
    """Runs the database tool of this image as a process (migrate.tool.Runner)."""

    def run(self, arguments: Sequence[str], *, deadline_s: float) -> ToolResult:
        """Run the tool with `arguments`. Raises PlatformFailed if it does not end in time."""
        try:
            ended = subprocess.run(
                [sys.executable, "-m", MODULE, *arguments],
                capture_output=True,
                text=True,
                timeout=deadline_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            finding = f"The database tool had not ended after {deadline_s:.0f} s."
            raise tool_failed(Code.UNREADABLE, finding, "Look at what the database does.") from None
        return ToolResult(code=ended.returncode, output=ended.stdout, log=ended.stderr)


@dataclass(frozen=True)
class Mounted:
    """The secrets of a backend as files, one a secret (backup.source.Secrets)."""

    folder: Path

    def public_key(self) -> None:
        """Return None: there is no key but the recovery key, so that nothing in the cluster opens a backup."""

    def read(self) -> Mapping[str, str]:
        """Return the files' contents by name; Kubernetes' own links beside them begin with a dot."""
        files = (path for path in self.folder.iterdir() if not path.name.startswith("."))
        return {path.name: path.read_text(encoding="utf-8") for path in files}


@dataclass(frozen=True)
class Given:
    """The secrets of a backend as variables of the environment (backup.source.Secrets)."""

    variables: Mapping[str, str] = field(repr=False)

    def public_key(self) -> None:
        """Return None: there is no key but the recovery key, so that nothing on the platform opens a backup."""

    def read(self) -> Mapping[str, str]:
        """Return the variables' values by the secrets' names."""
        return {
            name.removeprefix(job.SECRET).lower().replace("_", "-"): value
            for name, value in self.variables.items()
            if name.startswith(job.SECRET)
        }


def _say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
