"""Which backup a restore takes, and which one a drill."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mlflow_backend.backup.retention import BackupState, ListedBackup
from mlflow_backend.backup.selection import to_drill, to_restore
from mlflow_backend.contract import Refused, UsageError
from tests.components.backup.manifests import TAKEN

PROVED, UNPROVED, DAMAGED = BackupState.PROVED, BackupState.UNPROVED, BackupState.DAMAGED


def backups(*states: BackupState) -> list[ListedBackup]:
    """Return backups `0`, `1` and so on, each a day younger than the one before."""
    return [
        ListedBackup(id=str(number), taken_at=TAKEN + timedelta(days=number), state=state)
        for number, state in enumerate(states)
    ]


@pytest.mark.parametrize(
    ("states", "restored"),
    [((PROVED,), "0"), ((PROVED, PROVED), "1"), ((PROVED, UNPROVED), "0"), ((PROVED, DAMAGED), "0")],
)
def test_a_restore_takes_the_newest_that_was_proved(states: tuple[BackupState, ...], restored: str) -> None:
    """In a disaster nobody should have to find out which backup works."""
    assert to_restore(backups(*states)).id == restored
    assert to_restore(backups(*states)[::-1]).id == restored


@pytest.mark.parametrize("state", [PROVED, UNPROVED, DAMAGED])
def test_a_named_backup_is_taken_whatever_is_known_of_it(state: BackupState) -> None:
    """A person may know better, and a damaged backup may be all that is left."""
    assert to_restore(backups(state, PROVED), "0").id == "0"


def test_without_a_proved_one_a_restore_has_to_be_told_which() -> None:
    """An unproved backup is never restored by default; the error names the newest."""
    with pytest.raises(Refused) as refused:
        to_restore(backups(UNPROVED, DAMAGED))
    assert refused.value.code == "backup-none-proved"
    assert "1 (damaged)" in refused.value.finding


def test_an_unknown_backup_is_refused_with_the_newest_that_there_are() -> None:
    """A mistyped id costs one look, and a hundred backups give one readable line."""
    with pytest.raises(UsageError) as refused:
        to_restore(backups(*[PROVED] * 100), "x")
    assert refused.value.code == "backup-unknown"
    assert "99, 98, 97, 96, 95" in refused.value.fix
    assert "94" not in refused.value.fix


@pytest.mark.parametrize("state", [PROVED, UNPROVED, DAMAGED])
def test_a_drill_takes_the_newest(state: BackupState) -> None:
    """What was proved can rot, and what was damaged can be mended."""
    assert to_drill(backups(PROVED, state)).id == "1"
    assert to_drill(backups(PROVED, state)[::-1]).id == "1"


def test_without_any_backup_both_are_refused() -> None:
    """The destination of another stack's name looks empty, and the fix says so."""
    for select in (to_restore, to_drill):
        with pytest.raises(Refused) as refused:
            select([])
        assert refused.value.code == "backup-none"
    with pytest.raises(Refused) as refused:
        to_restore([], "x")
    assert refused.value.code == "backup-none"
