"""Which backups and contents pruning deletes, and which it never does."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest

from mlflow_backend.backup.retention import BackupState, ListedBackup, Unfinished, plan_prune, unreferenced
from tests.components.backup.manifests import TAKEN, artifact

NOW = TAKEN
PROVED, UNPROVED, DAMAGED = BackupState.PROVED, BackupState.UNPROVED, BackupState.DAMAGED


def ago(days: float) -> datetime:
    """Return the moment so many days before now."""
    return NOW - timedelta(days=days)


def backups(*listed: tuple[float, BackupState]) -> list[ListedBackup]:
    """Return backups that were taken so many days ago, each named by its age."""
    return [ListedBackup(id=f"{age:g}d", taken_at=ago(age), state=state) for age, state in listed]


@pytest.mark.parametrize(
    ("listed", "deleted"),
    [
        ([], []),
        ([(1, UNPROVED)], []),
        ([(1, UNPROVED), (30, UNPROVED)], []),
        ([(1, UNPROVED), (30.01, UNPROVED)], ["30.01d"]),
        ([(99, UNPROVED)], []),
        ([(99, UNPROVED), (100, UNPROVED)], ["100d"]),
        ([(1, UNPROVED), (99, PROVED)], []),
        ([(1, UNPROVED), (98, PROVED), (99, PROVED)], ["99d"]),
        ([(1, DAMAGED), (99, PROVED), (100, PROVED)], ["100d"]),
        ([(1, DAMAGED), (98, UNPROVED), (99, UNPROVED)], ["99d"]),
        ([(98, DAMAGED), (99, PROVED)], ["98d"]),
        ([(1, PROVED), (40, DAMAGED), (50, UNPROVED)], ["50d", "40d"]),
        ([(-1, UNPROVED), (99, PROVED)], []),
    ],
)
def test_what_is_too_old_goes_but_never_the_newest_that_can_be_restored(
    listed: list[tuple[float, BackupState]], deleted: list[str]
) -> None:
    """A stack whose backups fail, or whose drills do, keeps the last one that was shown to work."""
    for order in (listed, listed[::-1]):
        plan = plan_prune(backups(*order), now=NOW, retention_days=30)
        assert list(plan.deleted) == deleted
        assert set(plan.deleted) | set(plan.kept) == {backup.id for backup in backups(*listed)}


def test_no_retention_still_keeps_the_newest() -> None:
    """A mistaken 0 in the settings deletes no last backup."""
    plan = plan_prune(backups((1, UNPROVED), (2, PROVED), (3, PROVED)), now=NOW, retention_days=0)
    assert list(plan.deleted) == ["3d"]


def test_a_backup_that_is_read_is_kept() -> None:
    """Retention does not take a backup away from a restore."""
    listed = backups((1, PROVED), (99, UNPROVED), (100, UNPROVED))
    plan = plan_prune(listed, now=NOW, retention_days=30, in_use={"99d"})
    assert list(plan.deleted) == ["100d"]


@pytest.mark.parametrize(
    ("age", "in_use", "where"), [(1, (), "kept"), (2, (), "kept"), (2.01, (), "deleted"), (3, ("x",), "kept")]
)
def test_what_an_interrupted_backup_left_goes_after_a_while(age: float, in_use: tuple[str, ...], where: str) -> None:
    """What may be in progress is left alone; what was killed does not stay for ever."""
    remains = Unfinished(id="x", written_at=ago(age))
    plan = plan_prune(backups((1, PROVED)), [remains], now=NOW, retention_days=30, in_use=in_use)
    assert [name for name, ids in (("deleted", plan.deleted), ("kept", plan.kept)) if "x" in ids] == [where]


def test_an_unfinished_backup_never_counts_as_the_newest() -> None:
    """Without a manifest there is nothing to restore."""
    plan = plan_prune(backups((99, UNPROVED)), [Unfinished(id="x", written_at=NOW)], now=NOW, retention_days=30)
    assert "99d" in plan.kept


def test_a_content_goes_with_the_last_backup_that_names_it() -> None:
    """Contents are shared: one backup's age says nothing about them."""
    shared, gone, young = artifact("a", "shared"), artifact("b", "gone"), artifact("c", "young")
    contents = {shared.content: ago(99), gone.content: ago(99), young.content: ago(1)}
    assert unreferenced(contents, [{"other": shared}], now=NOW) == (gone.content,)
    assert unreferenced(contents, [{"a": shared}, {"b": gone}], now=NOW) == ()
    assert unreferenced(contents, [], now=NOW) == tuple(sorted((shared.content, gone.content)))
