"""What a restore makes of a backend's secret in Secrets Manager (moto)."""

from __future__ import annotations

import dataclasses
import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from moto import mock_aws

from mlflow_backend import new_keys
from mlflow_backend.aws import secrets
from mlflow_backend.aws.connection import Connection
from mlflow_backend.aws.provider import ServerSecretsProvider
from mlflow_backend.aws.render.secrets import IN_FORCE, SERVER_SECRETS
from mlflow_backend.aws.vault import SecretVault
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.ecs.render.tasks import BACKED_UP
from tests.rig.aws import labels
from tests.rig.patches import Patches

if TYPE_CHECKING:
    from collections.abc import Iterator

REGION, LABEL = "eu-west-1", "20261129T020000Z-abc123"
PROPS: dict[str, Any] = {
    "connection": {"region": REGION},
    "secret": "mlflow-backend-dev-mlflow-server", "keyArn": "arn:aws:kms:eu-west-1:123456789012:key/x",
    "names": list(SERVER_SECRETS), "recoveryDays": 0, "tags": {"stack": "dev"},
}  # fmt: skip
TAKEN = {"flask-secret-key": "t" * 32, "admin-user": "root", "admin-password": "taken-password", **new_keys.draw()}


class Backend:
    """A secret that an update made, and its vault."""

    def __init__(self) -> None:
        created = ServerSecretsProvider().create(PROPS)
        self.arn, self.outputs = created.id, dict(created.outs or {})
        self.vault = SecretVault(connection=Connection(REGION), secret=self.arn, names=BACKED_UP)
        self.client = boto3.client("secretsmanager", region_name=REGION)

    def held(self, stage: str) -> dict[str, str]:
        """Return the values of a staging label."""
        return dict(json.loads(self.client.get_secret_value(SecretId=self.arn, VersionStage=stage)["SecretString"]))

    def update(self) -> None:
        """Do what an update does if it finds another version than it took over."""
        if secrets.changed(self.arn, self.outputs, PROPS):
            self.outputs = secrets.update(self.arn, PROPS)

    @property
    def stages(self) -> set[str]:
        """Every staging label."""
        versions = self.client.describe_secret(SecretId=self.arn)["VersionIdsToStages"]
        return {stage for stages in versions.values() for stage in stages}


@pytest.fixture
def backend(monkeypatch: pytest.MonkeyPatch) -> Iterator[Backend]:
    """Moto's Secrets Manager, which is truthful about versions, and about labels once it is fixed."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"):
        monkeypatch.setenv(name, "x")
    with Patches() as patches, mock_aws():
        labels.install(patches)
        yield Backend()


def entry(name: str, salt: str) -> dict[str, str]:
    """Return a key as a secret has it."""
    return {"name": name, "scope": "write", "salt": salt * 32, "sha256": salt * 64}


def names_of(backend: Backend) -> list[tuple[str, str]]:
    """Return name and salt of each API key that servers accept."""
    text = backend.client.get_secret_value(SecretId=backend.vault.api_keys)["SecretString"]
    return [(each["name"], each["salt"][0]) for each in json.loads(text)["keys"]]


def test_users_api_keys_are_put_in_force_and_taken_back_and_the_verifiers_own_stays(backend: Backend) -> None:
    """Also if the restore is repeated; a backup without any changes none."""
    own = {"keys": [entry("verification", "1"), entry("bob", "2")]}
    backend.client.create_secret(Name="api-keys", SecretString=json.dumps(own))
    backend.vault = dataclasses.replace(backend.vault, api_keys="api-keys")
    backend.vault.take_over(TAKEN, label=LABEL)
    assert names_of(backend) == [("verification", "1"), ("bob", "2")]
    theirs = {"keys": [entry("verification", "3"), entry("ann", "4")]}
    for _ in range(2):
        backend.vault.take_over({**TAKEN, "api-keys": json.dumps(theirs)}, label=LABEL)
        assert names_of(backend) == [("verification", "1"), ("ann", "4")]
    backend.vault.put_back(LABEL)
    assert names_of(backend) == [("verification", "1"), ("bob", "2")]
    with pytest.raises(PlatformFailed) as failed:
        backend.vault.take_over({**TAKEN, "api-keys": "[]"}, label=LABEL)
    assert failed.value.code == "backup-api-keys-unusable"


def test_a_backups_secrets_are_put_in_force_and_taken_back(backend: Backend) -> None:
    """For tasks at once, and for the next update; what is between the backend's own parts stays."""
    before = backend.held(IN_FORCE)
    for _ in range(2):
        # A restore that is repeated keeps the backend's own, not those that its first try put in force.
        backend.vault.take_over(TAKEN, label=LABEL)
        assert backend.held(IN_FORCE) == {**before, **TAKEN}
    assert dict(backend.vault.read()) == TAKEN
    backend.update()
    assert backend.held(IN_FORCE) == {**before, **TAKEN}
    backend.vault.put_back(LABEL)
    backend.update()
    assert backend.held(IN_FORCE) == backend.held("AWSCURRENT") == before
    assert backend.stages <= {"AWSCURRENT", "AWSPREVIOUS", IN_FORCE}


def test_what_was_never_taken_over_is_not_put_back(backend: Backend) -> None:
    """A restore of the backend's own backup changes no secret."""
    before = backend.held(IN_FORCE)
    backend.vault.put_back(LABEL)
    assert backend.held(IN_FORCE) == before


def test_keys_that_wait_for_an_update_do_not_replace_those_of_the_backup(backend: Backend) -> None:
    """The next update would put them in force, and nothing that was restored could be read."""
    secrets.rotate_keys(Connection(REGION), backend.arn)
    backend.vault.take_over(TAKEN, label=LABEL)
    backend.update()
    assert backend.vault.read() == TAKEN


@pytest.mark.parametrize("name", BACKED_UP)
def test_a_secret_that_no_server_could_start_with_changes_nothing(backend: Backend, name: str) -> None:
    """The message names the key and not the value."""
    before = backend.held(IN_FORCE)
    with pytest.raises(PlatformFailed, match=name):
        backend.vault.take_over({**TAKEN, name: "\n"}, label=LABEL)
    assert backend.held(IN_FORCE) == backend.held("AWSCURRENT") == before


def test_a_secret_that_cannot_be_asked_is_named(backend: Backend) -> None:
    """One sentence, with what to allow."""
    backend.client.delete_secret(SecretId=backend.arn, ForceDeleteWithoutRecovery=True)
    with pytest.raises(PlatformFailed, match="Secrets Manager answered") as failed:
        backend.vault.take_over(TAKEN, label=LABEL)
    assert failed.value.part == backend.arn
