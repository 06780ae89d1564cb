"""How long a revision took to be ready: kept, merged, and never in the way."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.releases.durations import Durations, keep, kept
from mlflow_backend.releases.reports import Reports
from mlflow_backend.releases.stores import FileStore
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.report import Report

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    """An empty store."""
    return FileStore(tmp_path)


def test_what_is_not_known_now_stays_as_it_was(store: FileStore) -> None:
    """A revision that is switched to again, or waited for again, keeps the migration that was made for it."""
    assert kept(store, "1") == Durations()
    keep(store, "1", Durations(start_s=5.0, migration_s=3.0))
    keep(store, "1", Durations(start_s=6.0))
    assert kept(store, "1") == Durations(start_s=6.0, migration_s=3.0)
    assert kept(store, "2") == Durations()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"null", b'{"start_s": "5"}', b'{"start_s": -1}', b"\xff"])
def test_a_damaged_object_is_nothing_known(store: FileStore, content: bytes) -> None:
    """No verdict depends on it."""
    store.replace("_backend/durations/1.json", content)
    assert kept(store, "1") == Durations()


def test_a_store_that_is_away_is_nothing_known(store: FileStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The report's own writing says what is wrong with the store."""

    def fail(_self: object, _keys: object) -> None:
        raise PlatformFailed("away", code="of-a-test", fix="Bring it back", part="here")

    monkeypatch.setattr(FileStore, "read", fail)
    assert kept(store, "1") == Durations()


@pytest.mark.parametrize("durations", [Durations(), Durations(start_s=5.25), Durations(start_s=5.0, migration_s=3.0)])
def test_the_report_says_how_long_the_served_revision_took(store: FileStore, durations: Durations) -> None:
    """In its fields for machines, and in a line of its table for people where it is known."""
    keep(store, "7", durations)
    report = Report(
        url="http://x", profile="core", deadline_s=1.0, started="now", verdict=Result.PASS, served_revision="7"
    )
    saved = Reports(store).save(report, copy=None)
    assert saved == Reports(store).latest()
    assert {"start_s": saved.start_s, "migration_s": saved.migration_s} == asdict(durations)
    assert ("healthy in" in saved.text()) is (durations.start_s is not None)
    assert ("migration took" in saved.text()) is (durations.migration_s is not None)
