"""What a restore makes of a cluster's Secret."""

from __future__ import annotations

import base64
import re
from typing import Any

import pytest

from mlflow_backend import new_keys
from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.kubernetes import secrets
from mlflow_backend.kubernetes.render.secrets import ALWAYS
from mlflow_backend.kubernetes.restoring import ClusterVault
from tests.components.kubernetes.cluster import Namespace

NAME, LABEL = "mlflow-cluster-server", "20261129T020000Z-abc123"
OWN = {"flask-secret-key": "o" * 32, "admin-user": "admin", "admin-password": "own-password", **new_keys.draw()}
TAKEN = {"flask-secret-key": "t" * 32, "admin-user": "root", "admin-password": "taken-password", **new_keys.draw()}
BETWEEN_PARTS = {"database-password": "of-the-database"}


@pytest.fixture
def cluster() -> Namespace:
    """A namespace with a backend's Secret."""
    made = Namespace()
    put(made, {**OWN, **BETWEEN_PARTS})
    return made


def vault_of(cluster: Any) -> ClusterVault:
    """Return the vault of the backend."""
    return ClusterVault(api=cluster, secret=NAME)


def put(cluster: Namespace, values: dict[str, str]) -> None:
    """Let the Secret hold this."""
    data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
    cluster.put("Secret", {"metadata": {"name": NAME, "labels": {"of": "the-backend"}}, "data": data})


def held(cluster: Any) -> dict[str, str]:
    """Return what the Secret holds."""
    return secrets.values(cluster, NAME)


def test_a_backups_secrets_are_put_in_force_and_taken_back(cluster: Namespace) -> None:
    """What is between the backend's own parts stays; nothing is left of it after it was undone."""
    vault = vault_of(cluster)
    vault.take_over(TAKEN, label=LABEL)
    assert held(cluster) == {**TAKEN, **BETWEEN_PARTS}
    assert dict(vault.read()) == TAKEN
    (beside,) = (name for _, name in cluster.objects if name != NAME)
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", beside), "a name that Kubernetes takes"
    assert cluster.objects["Secret", beside]["metadata"]["labels"] == {"of": "the-backend"}
    vault.put_back(LABEL)
    assert held(cluster) == {**OWN, **BETWEEN_PARTS}
    assert [name for _, name in cluster.objects] == [NAME]


def test_a_restore_that_is_repeated_keeps_the_backends_own_secrets(cluster: Namespace) -> None:
    """Not those that its first try put in force; what was never taken over is not put back."""
    vault = vault_of(cluster)
    vault.put_back(LABEL)
    vault.take_over(TAKEN, label=LABEL)
    vault.take_over(TAKEN, label=LABEL)
    vault.put_back(LABEL)
    assert held(cluster) == {**OWN, **BETWEEN_PARTS}


def test_keys_that_wait_for_an_update_do_not_replace_those_of_the_backup(cluster: Namespace) -> None:
    """The next update would put them in force, and nothing that was restored could be read; undone, they wait again."""
    secrets.rotate(cluster, NAME)  # type: ignore[arg-type]
    before, vault = held(cluster), vault_of(cluster)
    vault.take_over(TAKEN, label=LABEL)
    assert secrets.WAITING not in held(cluster)
    vault.put_back(LABEL)
    assert held(cluster) == before


@pytest.mark.parametrize("name", ALWAYS)
def test_a_secret_that_no_server_could_start_with_changes_nothing(cluster: Namespace, name: str) -> None:
    """The message names the key and not the value."""
    with pytest.raises(PlatformFailed, match=name):
        vault_of(cluster).take_over({**TAKEN, name: "\n"}, label=LABEL)
    assert held(cluster) == {**OWN, **BETWEEN_PARTS}
    assert [name for _, name in cluster.objects] == [NAME]


def test_no_key_of_the_clusters_opens_a_backup(cluster: Namespace) -> None:
    """A restore asks for the recovery key, also onto the backend that the backup was taken of."""
    assert vault_of(cluster).public_key() is None
    with pytest.raises(Refused, match="--recovery-key"):
        vault_of(cluster).private_key()
