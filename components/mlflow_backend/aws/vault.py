"""A backend's secrets in Secrets Manager as a restore replaces and puts them back (backup.source.Vault).

What was in force is kept by a staging label of the restore's own: Secrets Manager keeps a version that has one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlflow_backend.aws import secrets
from mlflow_backend.aws.asking import Unanswered, asked
from mlflow_backend.aws.render.secrets import IN_FORCE
from mlflow_backend.aws.secret_values import client
from mlflow_backend.backup.hosted import HostedVault
from mlflow_backend.contract import PlatformFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlflow_backend.aws.connection import Connection


@dataclass(frozen=True, kw_only=True)
class SecretVault(HostedVault):
    """The server's secret, named by its ARN."""

    connection: Connection
    secret: str
    names: tuple[str, ...]

    def present(self) -> Mapping[str, str]:
        """Return what tasks read."""
        return dict(self._ask(secrets.in_force, self.secret, self.connection))

    def replace(self, taken: Mapping[str, str], *, label: str) -> None:
        """Put a version with them; the one before gets the label, a restore that is repeated leaves it there."""
        self._ask(self._replace, taken, _stage(label))

    def put_back(self, label: str) -> None:
        """Put what the version with the label holds in force again, and take the label off."""
        self._ask(self._put_back, _stage(label))

    def _replace(self, taken: Mapping[str, str], stage: str) -> None:
        manager = client(self.connection)
        present = manager.get_secret_value(SecretId=self.secret, VersionStage=IN_FORCE)
        if stage not in secrets.staged(self.secret, self.connection):
            manager.update_secret_version_stage(
                SecretId=self.secret, VersionStage=stage, MoveToVersionId=present["VersionId"]
            )
        # Of keys that a rotation drew, and that no update has put in force, nothing was encrypted yet.
        self._put(json.dumps({**json.loads(present["SecretString"]), **taken}))

    def _put_back(self, stage: str) -> None:
        before = secrets.staged(self.secret, self.connection).get(stage)
        if before is not None:
            manager = client(self.connection)
            self._put(manager.get_secret_value(SecretId=self.secret, VersionStage=stage)["SecretString"])
            manager.update_secret_version_stage(SecretId=self.secret, VersionStage=stage, RemoveFromVersionId=before)

    def _put(self, content: str) -> None:
        made = client(self.connection).put_secret_value(SecretId=self.secret, SecretString=content)
        secrets.take_over(self.secret, self.connection, made["VersionId"])

    def _ask(self, operation: Callable[..., Any], *arguments: Any) -> Any:
        answer = asked(operation, *arguments)
        if isinstance(answer, Unanswered):
            raise PlatformFailed(
                answer.of("Secrets Manager"),
                code="secret-not-restored",
                fix="Let this role read the secret, and put versions and staging labels, and repeat",
                part=self.secret,
            )
        return answer


def _stage(label: str) -> str:
    return f"BEFORE-{label}"
