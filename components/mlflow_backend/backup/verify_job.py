"""The job of a scheduled verification that a task in the server's image does in the backend's own network.

As in `verify.job`, the modules are this checkout's; unlike there, nobody who may ask the platform starts it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mlflow_backend import packaged
from mlflow_backend.backup import job
from mlflow_backend.backup.job import Bucket  # noqa: TC001 - `codec` reads the declared types
from mlflow_backend.verify.job import MODULES
from mlflow_backend.verify.request import VerifyRequest  # noqa: TC001 - as above
from mlflow_backend.verify.subjects import Subject  # noqa: TC001 - as above

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.backup.job import Cloud

_MODULES: Final = (*MODULES, "releases/*.py", "backup/verify_job.py", "backup/verify_task.py")
# The checks read tables as files, which those within a zip are not.
_MAIN: Final = """import sys, tempfile, zipfile
with tempfile.TemporaryDirectory() as folder:
    zipfile.ZipFile(sys.argv[0]).extractall(folder)
    sys.path.insert(0, folder)
    from mlflow_backend.{cloud} import verify_task
    code = verify_task.main(sys.argv[1:])
sys.exit(code)
"""


@dataclass(frozen=True, kw_only=True)
class ScheduledVerification:
    """The backend's store, and what is verified how: which release serves is the ledger's word."""

    store: Bucket
    subject: Subject
    request: VerifyRequest


def bundle(more: Mapping[str, bytes] | None = None, *, cloud: Cloud = "aws") -> bytes:
    """Return the modules of the task, and more, as a zip file that Python runs; it is the same until they change.

    `cloud` is whose store has the ledger.
    """
    modules = (*job.modules(cloud), *_MODULES, f"{cloud}/verify_task.py")
    return packaged.archive(modules, {"__main__.py": _MAIN.format(cloud=cloud).encode(), **(more or {})})
