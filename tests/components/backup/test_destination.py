"""A folder of backups: nothing is overwritten, half an object is none, and damage is found and named."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.backup import catalogue, prune
from mlflow_backend.backup.artifacts import content_key
from mlflow_backend.backup.destination import FolderDestination
from mlflow_backend.backup.drill import DrillResult, Outcome
from mlflow_backend.backup.retention import BackupState
from mlflow_backend.contract import PlatformFailed, Refused
from tests.components.backup.destinations import OLD, SHARED, every, identifier, kept
from tests.components.backup.manifests import digest

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def destination(tmp_path: Path) -> FolderDestination:
    """An empty destination, whose folder is not there yet."""
    return FolderDestination(tmp_path / "backups" / "local")


def test_an_object_is_there_whole_or_not_at_all(destination: FolderDestination) -> None:
    """What fails half-way leaves no object, and what a killed writer left is cleared."""

    def fails(write: object) -> None:
        write(b"half")  # type: ignore[operator]
        raise OSError(28, "No space left on device")

    with pytest.raises(PlatformFailed, match="space"):
        destination.write("contents/x", fails)
    (destination.folder / ".unfinished-killed").write_text("half")
    assert every(destination) == []
    destination.clear_unfinished()
    assert list(destination.folder.iterdir()) == []


def test_an_object_is_never_overwritten(destination: FolderDestination) -> None:
    """An equal content is shared; one of another size fails by name, because somebody changed it."""
    first = destination.write(content_key, lambda write: write(b"one"))
    assert destination.write(content_key, lambda write: write(b"one")) == first
    destination.path(first.key).write_bytes(b"on")
    with pytest.raises(PlatformFailed, match=first.key):
        destination.write(content_key, lambda write: write(b"one"))
    assert destination.path(first.key).read_bytes() == b"on"


def test_a_whole_backup_is_listed_with_what_its_drills_found(destination: FolderDestination) -> None:
    """Backups without a manifest are unfinished; a drill proves one."""
    kept(destination, identifier(1))
    destination.create("backups/20260822T020000Z-0a1b2c/tracking.dump", b"half")
    catalogue.record_drill(
        destination,
        DrillResult(
            backup=identifier(1), started_at=OLD, outcome=Outcome.PROVED, keys_proved=True, rto_s=1.0, rpo_s=2.0
        ),
    )
    found = catalogue.read(destination)
    assert [(each.id, each.listed.state) for each in found.backups] == [(identifier(1), BackupState.PROVED)]
    assert [each.id for each in found.unfinished] == ["20260822T020000Z-0a1b2c"]


def test_the_newest_backup_is_one_that_no_drill_found_damaged(destination: FolderDestination) -> None:
    """An incremental backup takes over what the newest one names, and a person is told that it can be restored."""
    whole = kept(destination, identifier(1))
    kept(destination, identifier(2), taken_at=OLD + timedelta(days=1))
    assert catalogue.read(destination).newest != whole
    found = DrillResult(
        backup=identifier(2), started_at=OLD, outcome=Outcome.DAMAGED, keys_proved=False, rto_s=None, rpo_s=2.0
    )
    catalogue.record_drill(destination, found)
    assert catalogue.read(destination).newest == whole


@pytest.mark.parametrize(
    ("key", "content", "by_size"),
    [
        (f"backups/{identifier(1)}/tracking.dump", b"tracking.dum", True),
        (f"backups/{identifier(1)}/tracking.dump", b"tracking.dumb", False),
        (f"backups/{identifier(1)}/artifacts.jsonl", b"", True),
        (SHARED.content, None, True),
        (SHARED.content, b"sharex", False),
    ],
)
def test_damage_is_found_and_named(
    destination: FolderDestination, key: str, content: bytes | None, *, by_size: bool
) -> None:
    """Sizes find what was cut or deleted; only reading finds a flipped bit. Artifacts are named by their path."""
    found = kept(destination, identifier(1), "a")
    assert catalogue.damages(destination, found, read_all=True) == ()
    path = destination.path(key)
    path.unlink() if content is None else path.write_bytes(content)
    assert bool(catalogue.damages(destination, found, read_all=False)) == by_size
    (damage,) = catalogue.damages(destination, found, read_all=True)
    assert damage.object == (SHARED.path if key == SHARED.content else key.rsplit("/", 1)[1])


def test_pruning_keeps_the_newest_backup_and_its_contents(destination: FolderDestination) -> None:
    """An old backup goes with what it alone names; the newest one stays whatever its age."""
    kept(destination, identifier(1), "old")
    newest = kept(destination, identifier(2), "new", taken_at=OLD + timedelta(days=1))
    pruning = prune.planned(destination, keep_days=30)
    assert (list(pruning.plan.deleted), pruning.contents) == ([identifier(1)], (content_key(digest("old")),))
    prune.prune(destination, pruning)
    assert [each.id for each in catalogue.read(destination).backups] == [identifier(2)]
    assert destination.size(content_key(digest("old"))) is None
    assert catalogue.damages(destination, newest, read_all=True) == ()


def test_pruning_that_is_killed_leaves_no_half_backup(
    destination: FolderDestination, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its manifest goes first: what is left of it counts as unfinished, and the next pruning takes it."""
    kept(destination, identifier(1), "old")
    kept(destination, identifier(2), "new", taken_at=OLD + timedelta(days=1))
    pruning, delete = prune.planned(destination, keep_days=30), destination.delete
    deleted = list[str]()

    def killed(key: str) -> None:
        if deleted:
            raise KeyboardInterrupt
        deleted.append(key)
        delete(key)

    monkeypatch.setattr(destination, "delete", killed)
    with pytest.raises(KeyboardInterrupt):
        prune.prune(destination, pruning)
    found = catalogue.read(destination)
    assert [each.id for each in found.backups] == [identifier(2)]
    assert [each.id for each in found.unfinished] == [identifier(1)]


@pytest.mark.parametrize(
    ("name", "content"), [("manifest.json", "{}"), ("artifacts.jsonl", ""), ("artifacts.jsonl", None)]
)
def test_pruning_stops_at_a_kept_backup_whose_contents_nobody_knows(
    destination: FolderDestination, name: str, content: str | None
) -> None:
    """Its contents would be deleted as unnamed."""
    kept(destination, identifier(1), taken_at=datetime.now(UTC))
    path = destination.path(f"backups/{identifier(1)}/{name}")
    path.unlink() if content is None else path.write_text(content)
    with pytest.raises((Refused, PlatformFailed), match=identifier(1)):
        prune.planned(destination, keep_days=30)
