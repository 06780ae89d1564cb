"""A restore that is repeated: it takes databases that its own backup has replaced for that backup's, and no others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from mlflow_backend.backup.restore import RestorePlan, _restore_databases, _switched
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.releases.journal import restore_journal
from mlflow_backend.releases.ledger import Ledger
from mlflow_backend.releases.stores import FileStore
from tests.components.backup.manifests import ID, manifest

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow_backend.backup.destination import Destination
    from mlflow_backend.backup.source import DeployedSource


def served() -> SimpleNamespace:
    """Return the release that serves, as far as it matters here."""
    return SimpleNamespace(mlflow_version="3.17.2")


BEFORE, AFTER, UNDER_WAY = "mlflow__before_1", "mlflow__before_2", "mlflow__restoring_1"


@pytest.mark.parametrize(
    ("begun", "kept", "switched"),
    [
        (None, [BEFORE], False),
        ((ID, []), [], False),
        ((ID, []), [BEFORE], True),
        ((ID, [BEFORE]), [BEFORE, UNDER_WAY], False),
        ((ID, [BEFORE]), [BEFORE, AFTER], True),
        (("another", []), [BEFORE], False),
    ],
)
def test_databases_were_switched_only_by_the_restore_of_this_backup(
    tmp_path: Path, begun: tuple[str, list[str]] | None, kept: list[str], *, switched: bool
) -> None:
    """Another backup's would be left in force under this one's name; its own would be taken for the user's data."""
    store = FileStore(tmp_path)
    if begun is not None:
        backup, before = begun
        entry = {"backup": backup, "kept": before, "before": {}, "elsewhere": False, "ledger": 0, "undoing": False}
        restore_journal(store).write(entry)
    source = SimpleNamespace(
        deployed=SimpleNamespace(store=store), served=served, tool=lambda _version: SimpleNamespace(kept=lambda: kept)
    )
    assert (_switched(cast("DeployedSource", source), manifest()) is not None) is switched


@pytest.mark.parametrize(
    ("failure", "over"),
    [(PlatformFailed("the dump is damaged", code="of-a-test"), True), (KeyboardInterrupt(), False)],
)
def test_an_interrupted_restore_stays_open(tmp_path: Path, failure: BaseException, *, over: bool) -> None:
    """The tool may have switched the databases before it was interrupted, and says so itself if it has failed."""
    store = FileStore(tmp_path)

    def restore(_address: str) -> None:
        raise failure

    source = SimpleNamespace(
        deployed=SimpleNamespace(store=store, ledger=Ledger(store, by="")),
        served=served,
        tool=lambda _version: SimpleNamespace(kept=list, restore=restore),
    )
    plan = RestorePlan(manifest=manifest(), elsewhere=False, missing=(), different=())
    with pytest.raises(type(failure)):
        _restore_databases(
            cast("DeployedSource", source), cast("Destination", None), plan, "address", key="", say=lambda _words: None
        )
    assert (restore_journal(store).load() is None) is over
