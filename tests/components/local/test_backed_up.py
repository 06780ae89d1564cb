"""A folder that held backups of a stack and is empty: nobody takes it for the disk that is not mounted."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.backup.destination import FolderDestination
from mlflow_backend.contract import Refused
from mlflow_backend.local.backed_up import refuse_emptied, remember
from mlflow_backend.releases.stores import FileStore
from tests.components.backup.destinations import identifier, kept

if TYPE_CHECKING:
    from pathlib import Path


def test_backups_do_not_begin_anew_on_a_disk_that_is_not_mounted(tmp_path: Path) -> None:
    """They would fill the disk that they are to outlive, and each would be whole."""
    store, destination = FileStore(tmp_path / "store"), FolderDestination(tmp_path / "backups" / "local")
    refuse_emptied(store, destination)
    kept(destination, identifier(1))
    remember(store, destination)
    refuse_emptied(store, destination)
    shutil.rmtree(destination.folder)
    with pytest.raises(Refused) as refusal:
        refuse_emptied(store, destination)
    assert refusal.value.code == "backup-destination-emptied"
    assert str(destination.folder) in str(refusal.value)
    refuse_emptied(store, FolderDestination(tmp_path / "other" / "local"))
