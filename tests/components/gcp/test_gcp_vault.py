"""What a restore makes of a backend's secrets in Secret Manager (the rig's), and how it is undone."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mlflow_backend import new_keys
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.gcp.api import SECRETS
from mlflow_backend.gcp.render.secrets import API_KEYS, BASIC
from mlflow_backend.gcp.secrets import Secrets
from mlflow_backend.gcp.vault import SecretManagerVault
from mlflow_backend.releases.stores import FileStore
from mlflow_backend.server import keys
from tests.components.cloudrun.stacks import NAMING
from tests.components.gcp.emulated_google import EmulatedGoogle

if TYPE_CHECKING:
    from pathlib import Path

LABEL = "20261129T020000Z-abc123"
NAMES = (*keys.NAMES, *BASIC)
REPLICATION = {"replication": {"userManaged": {"replicas": [{"location": NAMING.region}]}}}


def drawn(password: str) -> dict[str, str]:
    """Return what users and their data know a backend by, drawn anew."""
    return {**new_keys.draw(), "flask-secret-key": "f" * 32, "admin-user": "admin", "admin-password": password}


def api_keys(*names: str, salt: str) -> str:
    """Return keys as a secret has them."""
    entry = {"scope": "write", "salt": salt * 32, "sha256": salt * 64}
    return json.dumps({"keys": [{"name": name, **entry} for name in names]})


class Backend:
    """The secrets that an update made, and their vault."""

    def __init__(self, folder: Path) -> None:
        self.own = drawn("our-own-password")
        self.api = EmulatedGoogle()
        self.secrets = Secrets(project="p", api=self.api)
        for name, text in (self.own | {API_KEYS: api_keys("verification", "bob", salt="1")}).items():
            self.api.call(
                "POST", SECRETS, "v1/projects/p/secrets", REPLICATION, query={"secretId": NAMING.secret(name)}
            )
            self.secrets.add(NAMING.secret(name), text)
        self.vault = SecretManagerVault(
            secrets=self.secrets, naming=NAMING, names=NAMES, store=FileStore(folder), api_keys=True
        )

    def keys(self) -> list[tuple[str, str]]:
        """Return name and salt of each API key that servers accept."""
        found = self.secrets.read(NAMING.secret(API_KEYS))
        assert found is not None
        return [(each["name"], each["salt"][0]) for each in json.loads(found.text)["keys"]]


@pytest.fixture
def backend(tmp_path: Path) -> Backend:
    """A backend before a restore."""
    return Backend(tmp_path)


def test_a_backups_secrets_are_put_in_force_and_taken_back(backend: Backend) -> None:
    """Also if the restore is repeated, which keeps the backend's own and not those of its first try."""
    taken = drawn("taken-password")
    for _ in range(2):
        backend.vault.take_over(taken, label=LABEL)
        assert backend.vault.read() == taken
    backend.vault.put_back(LABEL)
    assert backend.vault.read() == backend.own
    backend.vault.put_back(LABEL)
    assert backend.vault.read() == backend.own


def test_users_api_keys_are_put_in_force_and_taken_back_and_the_verifiers_own_stays(backend: Backend) -> None:
    """A backup without any changes none, and one with what is no list is refused before anything is changed."""
    taken = drawn("taken-password")
    backend.vault.take_over(taken, label=LABEL)
    assert backend.keys() == [("verification", "1"), ("bob", "1")]
    backend.vault.put_back(LABEL)
    theirs = taken | {API_KEYS: api_keys("verification", "ann", salt="2")}
    for _ in range(2):
        backend.vault.take_over(theirs, label=LABEL)
        assert backend.keys() == [("verification", "1"), ("ann", "2")]
    backend.vault.put_back(LABEL)
    assert backend.keys() == [("verification", "1"), ("bob", "1")]
    with pytest.raises(PlatformFailed) as failed:
        backend.vault.take_over(taken | {API_KEYS: "[]"}, label=LABEL)
    assert failed.value.code == "backup-api-keys-unusable"
    assert backend.vault.read() == backend.own


def test_jobs_are_given_versions_of_what_they_are_given_alone(backend: Backend) -> None:
    """Servers and backups read the newest API keys: no update is made for them."""
    assert set(backend.vault.versions) == {NAMING.secret(name) for name in NAMES}
