"""The command for backups as far as it needs no deployed stack: keys, lists, verification, and what it refuses."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.backup import catalogue, sealing
from mlflow_backend.backup.destination import FolderDestination
from mlflow_backend.backup.drill import DrillResult, Outcome
from mlflow_backend.commands import backup
from mlflow_backend.commands.backup_verbs import newest_of
from mlflow_backend.commands.stacks import Stack
from mlflow_backend.contract import ExitCode
from tests.components.backup.destinations import OLD, SHARED, identifier, kept

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A project with a stack's file that names no destination."""
    (tmp_path / "Pulumi.local.yaml").write_text("config:\n  mlflow-backend:target: local\n")
    return tmp_path


def test_a_recovery_key_is_made_once_and_only_its_public_half_is_printed(
    root: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file is for its owner alone, and is never overwritten: what it opens would be lost."""
    path = root / "recovery.txt"
    assert backup.main(["new-key", str(path), "--dry-run"], root=root) == ExitCode.DONE
    assert str(path) in capsys.readouterr().out
    assert not path.exists()
    assert backup.main(["new-key", str(path)], root=root) == ExitCode.DONE
    key = sealing.read_key(path)
    said = capsys.readouterr().out
    assert said.strip() == sealing.public_key(key)
    assert path.stat().st_mode & 0o777 == 0o600
    assert backup.main(["new-key", str(path)], root=root) == ExitCode.REFUSED
    assert sealing.read_key(path) == key
    link = root / "link.txt"
    link.symlink_to(root / "of-a-disk-that-is-not-there.txt")
    for more in ([], ["--dry-run"]):
        assert backup.main(["new-key", str(link), *more], root=root) == ExitCode.REFUSED
    assert not link.exists()


def test_a_damaged_backup_is_named_with_the_artifact(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Programs get it as JSON, and an exit code of its own."""
    destination = FolderDestination(root / "backups" / "local")
    kept(destination, identifier(1))
    named = ["--destination", str(root / "backups"), "--json"]
    assert backup.main([*named, "list"], root=root) == ExitCode.DONE
    assert [each["state"] for each in json.loads(capsys.readouterr().out)["backups"]] == ["unproved"]
    assert backup.main([*named, "verify"], root=root) == ExitCode.DONE
    destination.path(SHARED.content).write_bytes(b"sharex")
    capsys.readouterr()
    assert backup.main([*named, "verify", identifier(1), "--read"], root=root) == ExitCode.VERIFICATION_FAILED
    assert [each["object"] for each in json.loads(capsys.readouterr().out)["damages"]] == [SHARED.path]


def test_the_newest_backup_is_known_however_it_was_taken(root: Path) -> None:
    """By the destination: whoever takes one by command tells no timer."""
    stack = Stack("local", root)
    assert newest_of(stack) is None
    folder = root / "backups"
    backup_section = json.dumps({"destination": str(folder), "recoveryKey": sealing.public_key(sealing.new_key())})
    file = root / "Pulumi.local.yaml"
    file.write_text(f"{file.read_text()}  mlflow-backend:backup: {backup_section}\n")
    folder.mkdir()
    assert newest_of(Stack("local", root)) == "none yet"
    kept(FolderDestination(folder / "local"), identifier(1))
    kept(FolderDestination(folder / "local"), identifier(2))
    assert str(newest_of(Stack("local", root))).startswith(f"{identifier(2)}, unproved, taken 20")


def test_an_option_may_stand_before_the_verb_or_after_it(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What was given before the verb is not undone by what stands after it."""
    kept(FolderDestination(root / "backups" / "other"), identifier(1))
    named = ["--destination", str(root / "backups")]
    for arguments in (["--of", "other", "list", *named, "--json"], [*named, "--json", "list", "--of", "other"]):
        assert backup.main(arguments, root=root) == ExitCode.DONE
        assert len(json.loads(capsys.readouterr().out)["backups"]) == 1


def test_backups_that_no_drill_restored_are_said_to_be_unproved(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A list of whole backups is not taken for one of backups that can be restored."""
    destination = FolderDestination(root / "backups" / "local")
    listing = ["--destination", str(root / "backups"), "list"]
    assert backup.main(listing, root=root) == ExitCode.DONE
    assert "unproved" not in capsys.readouterr().out
    kept(destination, identifier(1))
    kept(destination, identifier(2))
    assert backup.main(listing, root=root) == ExitCode.DONE
    assert "unproved: " in capsys.readouterr().out
    proved = DrillResult(
        backup=identifier(2), started_at=OLD, outcome=Outcome.PROVED, keys_proved=True, rto_s=1.0, rpo_s=1.0
    )
    catalogue.record_drill(destination, proved)
    assert backup.main(listing, root=root) == ExitCode.DONE
    assert "unproved: " not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["list"], ExitCode.USAGE),
        (["--destination", "/nowhere", "verify"], ExitCode.REFUSED),
        (["--destination", "/nowhere", "verify", "other"], ExitCode.REFUSED),
        (["--destination", "/nowhere", "create"], ExitCode.REFUSED),
        (["--destination", "/nowhere", "restore"], ExitCode.REFUSED),
        (["--destination", "/nowhere", "prune"], ExitCode.REFUSED),
        (["--stack", "other", "list"], ExitCode.USAGE),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else None,
)
def test_what_cannot_be_done_is_refused_before_anything_is_written(
    root: Path, arguments: list[str], code: ExitCode
) -> None:
    """No destination, no backup, no deployed stack, no stack at all."""
    before = sorted(root.iterdir())
    assert backup.main(arguments, root=root) == code
    assert sorted(root.iterdir()) == before
