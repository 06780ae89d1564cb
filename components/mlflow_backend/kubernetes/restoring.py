"""What a restore reads and writes of a backend in a cluster: its Secret, and through `Platform` all the rest.

A restore runs on the machine of whoever has the recovery key, which so never gets into the cluster; the database tool
runs there as a Job, as before a migration.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Final

from mlflow_backend.aws.backups import BucketArtifacts, BucketDestination
from mlflow_backend.backup import bundle
from mlflow_backend.backup import source as sources
from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.deployed import DeployedBackend
from mlflow_backend.hosted import ARTIFACTS
from mlflow_backend.kubernetes import secrets
from mlflow_backend.kubernetes.oneshot import KubernetesJob
from mlflow_backend.kubernetes.render import oneshot
from mlflow_backend.kubernetes.render.secrets import ALWAYS
from mlflow_backend.logged import is_whole, split
from mlflow_backend.server import secret_problem
from mlflow_backend.verify.tracking import PREFIX

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.backup.source import DeployedSource
    from mlflow_backend.kubernetes.api import Api
    from mlflow_backend.kubernetes.platform import KubernetesPlatform
    from mlflow_backend.target import Task

_COUNT_DEADLINE_S: Final = 120.0
# In the server's image, by its own way to the database. A verification's experiments are marked as deleted here, and
# their rows stay until maintenance.
_COUNT: Final = """
import json, os, sys
from mlflow_backend_server.db import addresses, postgres
counts = {}
with postgres.connected(addresses.from_environment(os.environ).tracking, purpose="count") as connection:
    with connection.cursor() as cursor:
        for table, rows in (
            ("runs", "runs JOIN experiments e USING (experiment_id) WHERE NOT starts_with(e.name, %s)"),
            ("registered_models", "registered_models WHERE NOT starts_with(name, %s)"),
        ):
            cursor.execute("SELECT count(*) FROM " + rows, (sys.argv[1],))
            counts[table] = cursor.fetchone()[0]
print(json.dumps(counts, indent=1))
"""


def source_of(platform: KubernetesPlatform, *, settings: bytes) -> DeployedSource:
    """Return the backend in a namespace as a restore sees it; nothing is asked yet."""
    locator = platform.locator
    job = KubernetesJob(api=platform.api, template=platform.naming.part(oneshot.DATABASE))
    return sources.source_of(
        DeployedBackend(platform),
        tool=platform.tool,
        artifacts=BucketArtifacts(platform.s3, bucket=locator.bucket, root=locator.store.prefix(ARTIFACTS)),
        vault=ClusterVault(api=platform.api, secret=locator.secret),
        own=BucketDestination(platform.s3, bucket=locator.bucket, root=locator.root),
        stack=locator.stack,
        settings=settings,
        used=partial(used, job),
    )


def used(task: Task) -> dict[str, int]:
    """Return how many rows of users the tracking database has, by table. Raises PlatformFailed."""
    ended = task.run(("python", "-c", _COUNT, PREFIX), deadline_s=_COUNT_DEADLINE_S, complete=is_whole)
    output, log = split(ended.lines)
    try:
        return {str(table): int(count) for table, count in json.loads(output).items()}
    except ValueError:
        words = "; ".join((*ended.reasons, *log.splitlines()[-3:])) or "it said nothing"
        raise PlatformFailed(
            f"its rows cannot be counted: {words}", code="database-not-counted", fix="Fix that, and repeat",
            part="the tracking database",
        ) from None  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class ClusterVault:
    """The secrets of one backend, in the Secret of its servers (backup.source.Vault)."""

    api: Api
    secret: str

    def public_key(self) -> None:
        """Return None: there is no key but the recovery key, so that nothing in the cluster opens a backup."""

    def private_key(self) -> str:
        """Refuse."""
        raise Refused(
            "Backups of a backend in a cluster are sealed to the recovery key alone.",
            code="restore-sealed-to-recovery-key",
            fix="Give it: --recovery-key file:PATH.",
        )

    def read(self) -> Mapping[str, str]:
        """Return what users and their data know the backend by."""
        return {name: text for name, text in secrets.values(self.api, self.secret).items() if name in ALWAYS}

    def take_over(self, found: Mapping[str, str], *, label: str) -> None:
        """Write a backup's secrets into the Secret; those that were there, waiting keys too, are kept beside it."""
        taken = bundle.each_alone(found, ALWAYS)
        if problems := [problem for name, text in taken.items() if (problem := secret_problem(name, text))]:
            raise PlatformFailed(
                "; ".join(problems), code="backup-keys-unusable", fix="Restore another backup", part="the backup's keys"
            )
        present = secrets.values(self.api, self.secret)
        own = {name: text for name, text in present.items() if name in (*ALWAYS, secrets.WAITING)}
        secrets.keep_beside(self.api, self.secret, self._beside(label), own)
        self._put(taken)

    def put_back(self, label: str) -> None:
        """Write what was kept beside the Secret, and delete that."""
        if own := secrets.values(self.api, self._beside(label)):
            self._put(own)
            self.api.delete("Secret", self._beside(label))

    def _put(self, own: Mapping[str, str]) -> None:
        secrets.rewrite(
            self.api,
            self.secret,
            lambda present: {**{name: text for name, text in present.items() if name != secrets.WAITING}, **own},
        )

    def _beside(self, label: str) -> str:
        return f"{self.secret}-before-{label.lower()}"
