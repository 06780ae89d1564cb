"""A backend's secrets in Secrets Manager as a restore replaces and puts them back (backup.source.Vault).

What was in force is kept by a staging label of the restore's own: Secrets Manager keeps a version that has one.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.aws import secrets
from mlflow_backend.aws.asking import Unanswered, asked
from mlflow_backend.aws.render.secrets import IN_FORCE
from mlflow_backend.aws.secret_values import client
from mlflow_backend.backup import bundle
from mlflow_backend.backup.hosted import HostedVault
from mlflow_backend.contract import PlatformFailed

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlflow_backend.aws.connection import Connection

_NEWEST: Final = "AWSCURRENT"


@dataclass(frozen=True, kw_only=True)
class SecretVault(HostedVault):
    """The server's secret, named by its ARN, and that with the hashes of API keys, empty if access is by other logins.

    Servers read the newest version of those hashes themselves.
    """

    connection: Connection
    secret: str
    names: tuple[str, ...]
    api_keys: str = ""

    def present(self) -> Mapping[str, str]:
        """Return what tasks read."""
        return dict(self._ask(secrets.in_force, self.secret, self.connection))

    def take_over(self, secrets: Mapping[str, str], *, label: str) -> None:
        """Put a backup's secrets in force, users' API keys among them; the verifier's own key stays."""
        super().take_over(secrets, label=label)
        if self.api_keys and bundle.API_KEYS in secrets:
            self._ask(self._replace_api_keys, secrets, _stage(label))

    def replace(self, taken: Mapping[str, str], *, label: str) -> None:
        """Put a version with them; the one before gets the label, a restore that is repeated leaves it there."""
        self._ask(self._replace, taken, _stage(label))

    def put_back(self, label: str) -> None:
        """Put what the version with the label holds in force again, and take the label off."""
        for secret in filter(None, [self.secret, self.api_keys]):
            self._ask(self._put_back, secret, _stage(label))

    def _replace(self, taken: Mapping[str, str], stage: str) -> None:
        present = self._kept(self.secret, IN_FORCE, stage)
        # Of keys that a rotation drew, and that no update has put in force, nothing was encrypted yet.
        self._put(self.secret, json.dumps({**json.loads(present), **taken}))

    def _replace_api_keys(self, taken: Mapping[str, str], stage: str) -> None:
        present = self._kept(self.api_keys, _NEWEST, stage)
        self._put(self.api_keys, bundle.users_api_keys(taken, beside=present))

    def _kept(self, secret: str, present: str, stage: str) -> str:
        """Return what the version with the label `present` holds, which gets the label `stage` if none has it."""
        manager = client(self.connection)
        found = manager.get_secret_value(SecretId=secret, VersionStage=present)
        if stage not in secrets.staged(secret, self.connection):
            manager.update_secret_version_stage(SecretId=secret, VersionStage=stage, MoveToVersionId=found["VersionId"])
        return found["SecretString"]

    def _put_back(self, secret: str, stage: str) -> None:
        before = secrets.staged(secret, self.connection).get(stage)
        if before is not None:
            manager = client(self.connection)
            self._put(secret, manager.get_secret_value(SecretId=secret, VersionStage=stage)["SecretString"])
            manager.update_secret_version_stage(SecretId=secret, VersionStage=stage, RemoveFromVersionId=before)

    def _put(self, secret: str, content: str) -> None:
        made = client(self.connection).put_secret_value(SecretId=secret, SecretString=content)
        if secret == self.secret:
            secrets.take_over(secret, self.connection, made["VersionId"])

    def _ask(self, operation: Callable[..., Any], *arguments: Any) -> Any:
        answer = asked(operation, *arguments)
        if isinstance(answer, Unanswered):
            raise PlatformFailed(
                answer.of("Secrets Manager"),
                code="secret-not-restored",
                fix="Let this role read the secrets, and put versions and staging labels, and repeat",
                part=self.secret,
            )
        return answer


def _stage(label: str) -> str:
    return f"BEFORE-{label}"
