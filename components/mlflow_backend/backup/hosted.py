"""The source of a restore onto a backend that is not on this machine: what users wrote to it, and its secrets.

It runs on the machine of whoever has the recovery key, which so never gets to the platform; the database tool runs
there as a one-shot task, as before a migration.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Final

from mlflow_backend.backup import bundle, job
from mlflow_backend.backup import source as sources
from mlflow_backend.backup.tracked import USERS_ROWS
from mlflow_backend.contract import Refused
from mlflow_backend.logged import is_whole
from mlflow_backend.verify.tracking import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlflow_backend.backup.destination import Destination
    from mlflow_backend.backup.source import Artifacts, DeployedSource, Vault
    from mlflow_backend.deployed import DeployedBackend
    from mlflow_backend.migrate.tool import DatabaseTool
    from mlflow_backend.target import Task

_COUNT_DEADLINE_S: Final = 120.0
# In the server's image, by its own way to the database.
_COUNT: Final = f"""
import json, os, sys
from mlflow_backend_server.db import addresses, postgres
counts = {{}}
with postgres.connected(addresses.from_environment(os.environ).tracking, purpose="count") as connection:
    with connection.cursor() as cursor:
        for table, rows in {USERS_ROWS!r}:
            cursor.execute("SELECT count(*) FROM " + rows, (sys.argv[1],))
            counts[table] = cursor.fetchone()[0]
print(json.dumps(counts, indent=1))
"""  # noqa: S608 - our own words


def source_of(  # noqa: PLR0913 - the parts of a backend, by name
    deployed: DeployedBackend,
    *,
    task: Task,
    artifacts: Artifacts,
    vault: Vault,
    own: Destination,
    stack: str,
    settings: bytes,
    tool: Callable[[str], DatabaseTool] | None = None,
    renewed: Callable[[str], str] = lambda revision: revision,
) -> DeployedSource:
    """Return a deployed backend as a restore sees it; `task` is one that reaches its database. Nothing is asked yet.

    `tool` is the platform's own, unless that has to be given the secrets which a restore has put in force.
    """
    return sources.source_of(
        deployed,
        tool=tool or deployed.platform.tool,
        artifacts=artifacts,
        vault=vault,
        own=own,
        stack=stack,
        settings=settings,
        used=partial(used, task),
        renewed=renewed,
    )


def used(task: Task) -> dict[str, int]:
    """Return how many rows of users the tracking database has, by table. Raises PlatformFailed."""
    ended = task.run(("python", "-c", _COUNT, PREFIX), deadline_s=_COUNT_DEADLINE_S, complete=is_whole)
    counted = job.report_of(ended, part="the task that counts rows")
    return {str(table): int(count) for table, count in counted.items()}


class HostedVault:
    """The secrets of one backend among the platform's own (backup.source.Vault); how they are kept is the platform's.

    `names` are those that users and their data know the backend by.
    """

    names: tuple[str, ...]

    def public_key(self) -> None:
        """Return None: there is no key but the recovery key, so that nothing on the platform opens a backup."""

    def private_key(self) -> str:
        """Refuse."""
        raise Refused(
            "Backups of a backend on a platform are sealed to the recovery key alone.",
            code="restore-sealed-to-recovery-key",
            fix="Give it: --recovery-key file:PATH.",
        )

    def read(self) -> Mapping[str, str]:
        """Return what users and their data know the backend by."""
        return {name: text for name, text in self.present().items() if name in self.names}

    def take_over(self, secrets: Mapping[str, str], *, label: str) -> None:
        """Put a backup's secrets in force; those that were are kept. Raises PlatformFailed for unusable ones."""
        self.replace(bundle.each_alone(secrets, self.names), label=label)

    def present(self) -> Mapping[str, str]:
        """Return all secrets that are in force."""
        raise NotImplementedError

    def replace(self, taken: Mapping[str, str], *, label: str) -> None:
        """Put these in force beside all others, and keep what was in force under `label`, unless that is there."""
        raise NotImplementedError
