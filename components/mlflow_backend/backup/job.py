"""The job of a backup that a task in the server's image takes in the backend's own network.

The task has this project's modules from `bundle`, and of other packages only what MLflow's own image has.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from mlflow_backend import packaged
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.logged import split

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.target import Finished

TOOL: Final = "tool.zip"
JOB: Final = "job.json"
SETTINGS: Final = "settings.yaml"
SECRET: Final = "MLFLOW_BACKEND_BACKED_UP_"  # noqa: S105 - how the names of variables begin
"""How variables begin that have the backend's secrets; the rest is the name, with underscores and in capitals."""
DRY_RUN: Final = "--dry-run"
ACCESS_KEY: Final = "MLFLOW_BACKEND_BACKUP_ACCESS_KEY_ID"
SECRET_KEY: Final = "MLFLOW_BACKEND_BACKUP_SECRET_ACCESS_KEY"  # noqa: S105 - the name of a variable
"""Variables with the keys of the destination; without them the task's own identity is enough."""

Cloud = Literal["aws", "gcp"]
"""Whose object store a backend's stores are on."""
_COMMON: Final = (
    *(f"{name}.py" for name in ("__init__", "codec", "contract", "identity", "logged", "packaged")),
    *(f"{name}.py" for name in ("pace", "schema", "schema_tables")),
    *(f"backup/{name}.py" for name in ("__init__", "age", "artifacts", "catalogue", "create", "damage", "destination")),
    *(f"backup/{name}.py" for name in ("drill", "job", "manifest", "objects", "retention", "source", "task")),
    *(f"migrate/{name}.py" for name in ("__init__", "tool")),
    *(f"releases/{name}.py" for name in ("__init__", "lease", "ledger", "records", "running", "stores")),
)
MODULES: Final = (
    *_COMMON,
    *(f"aws/{name}.py" for name in ("__init__", "asking", "backup_task", "backups", "clients", "store")),
)
"""What such a task is packed with if the stores are on S3; it has the stores, the ledger and the database tool."""
GOOGLE_MODULES: Final = (
    *_COMMON,
    "bucket_root.py",
    *(f"gcp/{name}.py" for name in ("__init__", "api", "backup_task", "backups", "credentials")),
    *(f"gcp/{name}.py" for name in ("root", "store", "uploads")),
)
"""The same, if the stores are on Cloud Storage."""
_MAIN: Final = "import sys\nfrom mlflow_backend.{cloud} import backup_task\nsys.exit(backup_task.main(sys.argv[1:]))\n"


@dataclass(frozen=True, kw_only=True)
class Bucket:
    """A root in a bucket. Cloud Storage asks no region; `endpoint` is the URL of an S3 server that is not AWS's."""

    bucket: str
    root: str
    region: str = ""
    endpoint: str | None = None


@dataclass(frozen=True, kw_only=True)
class BackupJob:
    """The backend's store, its artifacts' root there, the stack's backups, and the public recovery key."""

    target: str
    stack: str
    store: Bucket
    artifacts: str
    destination: Bucket
    recovery_key: str


def report_of(ended: Finished, *, part: str) -> dict[str, Any]:
    """Return the report that a task printed, with its exit code.

    Raises PlatformFailed if it ended without one; `part` is the platform's name of the task.
    """
    output, log = split(ended.lines)
    try:
        return dict(json.loads(output))
    except ValueError:
        words = "; ".join((*ended.reasons, *log.splitlines()[-5:])) or "it said nothing"
        raise PlatformFailed(
            f"the task ended with {ended.exit_code} and without a report: {words}",
            code="task-without-report",
            fix="Fix that, and repeat",
            part=part,
        ) from None


def variable(secret: str) -> str:
    """Return the variable that has a secret of the backend."""
    return f"{SECRET}{secret.replace('-', '_').upper()}"


def modules(cloud: Cloud) -> tuple[str, ...]:
    """Return what a task is packed with that has the stores, the ledger and the database tool."""
    return MODULES if cloud == "aws" else GOOGLE_MODULES


def bundle(more: Mapping[str, bytes] | None = None, *, cloud: Cloud = "aws") -> bytes:
    """Return the modules of the task, and more, as a zip file that Python runs; it is the same until they change.

    `cloud` is whose stores it reads and writes.
    """
    return packaged.archive(modules(cloud), {"__main__.py": _MAIN.format(cloud=cloud).encode(), **(more or {})})
