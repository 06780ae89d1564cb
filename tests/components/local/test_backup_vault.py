"""The secrets of a local stack in a restore: those of a backup that was taken in a cluster have other names there."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mlflow_backend import new_keys
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.kubernetes.render.secrets import ALWAYS
from mlflow_backend.local import api_keys, credentials, encryption
from mlflow_backend.local.backups import LocalVault
from mlflow_backend.local.state import StateDir
from mlflow_backend.server import keys

if TYPE_CHECKING:
    from pathlib import Path

CLUSTERS = {**new_keys.draw(), "flask-secret-key": "f" * 32, "admin-user": "admin", "admin-password": "a-password"}


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    """A stack with credentials and keys of its own."""
    made = StateDir(tmp_path / "local")
    made.credentials.mkdir(parents=True)
    credentials.ensure(made)
    encryption.ensure(made)
    return made


def test_a_clusters_secrets_are_put_in_force_and_taken_back(state: StateDir) -> None:
    """Users keep their passwords, and what was encrypted under the cluster's keys can be read."""
    assert CLUSTERS.keys() == set(ALWAYS)
    vault, before = LocalVault(state), dict(LocalVault(state).read())
    vault.take_over(CLUSTERS, label="backup")
    assert encryption.values(state) == {name: CLUSTERS[name] for name in keys.NAMES}
    assert credentials.read(state, credentials.ADMIN) == "a-password"
    assert credentials.read(state, credentials.FLASK) == "f" * 32
    vault.put_back("backup")
    assert dict(vault.read()) == before


def test_users_keep_their_api_keys_and_the_stack_gets_one_of_its_own(state: StateDir) -> None:
    """That by which the other target verified itself is nobody's here."""
    _, ann = api_keys.mint("ann", "write")
    _, verifier = api_keys.mint("verification", "write")
    taken = {**CLUSTERS, "admin-password": "long-enough-for-mlflow", "api-keys": json.dumps({"keys": [verifier, ann]})}
    LocalVault(state).take_over(taken, label="backup")
    assert api_keys.entries(state) == [ann]
    credentials.ensure(state)
    assert [each["name"] for each in api_keys.entries(state)] == [api_keys.OWN, "ann"]


def test_an_administrator_of_another_name_is_refused(state: StateDir) -> None:
    """Nothing is changed: this target's administrator has one name."""
    before = dict(LocalVault(state).read())
    with pytest.raises(PlatformFailed) as refused:
        LocalVault(state).take_over({**CLUSTERS, "admin-user": "root"}, label="backup")
    assert refused.value.code == "backup-of-other-administrator"
    assert dict(LocalVault(state).read()) == before
