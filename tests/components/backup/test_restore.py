"""A restore that is repeated: it takes databases that its own backup has replaced for that backup's, and no others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import pytest

from mlflow_backend.backup.restore import _switched
from mlflow_backend.releases.journal import Journal
from mlflow_backend.releases.stores import FileStore
from tests.components.backup.manifests import ID, manifest

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow_backend.backup.source import DeployedSource

BEFORE, AFTER, UNDER_WAY = "mlflow__before_1", "mlflow__before_2", "mlflow__restoring_1"


@pytest.mark.parametrize(
    ("begun", "kept", "switched"),
    [
        (None, [BEFORE], False),
        ({"backup": ID, "kept": []}, [], False),
        ({"backup": ID, "kept": []}, [BEFORE], True),
        ({"backup": ID, "kept": [BEFORE]}, [BEFORE, UNDER_WAY], False),
        ({"backup": ID, "kept": [BEFORE]}, [BEFORE, AFTER], True),
        ({"backup": "another", "kept": []}, [BEFORE], False),
    ],
)
def test_databases_were_switched_only_by_the_restore_of_this_backup(
    tmp_path: Path, begun: dict[str, Any] | None, kept: list[str], *, switched: bool
) -> None:
    """Another backup's would be left in force under this one's name; its own would be taken for the user's data."""
    store = FileStore(tmp_path)
    if begun is not None:
        Journal(store, "restore").write(begun)
    source = SimpleNamespace(
        deployed=SimpleNamespace(store=store), tool=lambda _version: SimpleNamespace(kept=lambda: kept)
    )
    assert _switched(cast("DeployedSource", source), manifest()) is switched
