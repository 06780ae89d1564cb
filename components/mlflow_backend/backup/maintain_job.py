"""The job of a maintenance that a task in the server's image does in the backend's own network.

As in `backup.job`, the task has this project's modules from `bundle`, and else what MLflow's own image has.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mlflow_backend import packaged
from mlflow_backend.backup import job
from mlflow_backend.backup.job import Bucket  # noqa: TC001 - `codec` reads the declared types
from mlflow_backend.migrate.tool import MAINTAIN_DEADLINE_S

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.backup.job import Cloud

# Besides what the database tool may take: artifacts are listed. None may outlast its lock (releases/lease.py).
DEADLINE_S: Final = int(MAINTAIN_DEADLINE_S) + 1800
WAIT_S: Final = 1800
"""On a schedule a backup that is under way is waited for."""
_MODULES: Final = (
    "maintenance.py",
    *(f"backup/{name}.py" for name in ("maintain_job", "maintain_task", "orphans", "tracked")),
)
_MAIN: Final = (
    "import sys\nfrom mlflow_backend.{cloud} import maintain_task\nsys.exit(maintain_task.main(sys.argv[1:]))\n"
)


@dataclass(frozen=True, kw_only=True)
class MaintainJob:
    """The backend's store, its artifacts' root there as the bucket and the database know it, and what is removed.

    Deleted experiments of names that begin with `at_once` are removed whenever they were deleted.
    """

    store: Bucket
    artifacts: str
    address: str
    keep_deleted_days: int
    at_once: str


def bundle(more: Mapping[str, bytes] | None = None, *, cloud: Cloud = "aws") -> bytes:
    """Return the modules of the task, and more, as a zip file that Python runs; it is the same until they change.

    `cloud` is whose stores are maintained.
    """
    modules = (*job.modules(cloud), *_MODULES, f"{cloud}/maintain_task.py")
    return packaged.archive(modules, {"__main__.py": _MAIN.format(cloud=cloud).encode(), **(more or {})})
