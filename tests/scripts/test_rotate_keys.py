"""The command that rotates encryption keys: it draws them once, loses none, and prints none."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from mlflow_backend.backup import bundle
from mlflow_backend.commands import rotate_keys, stacks
from mlflow_backend.contract import ExitCode, PlatformFailed
from mlflow_backend.local import credentials, encryption
from mlflow_backend.local.state import StateDir
from mlflow_backend.releases.records import LedgerState, Pin
from mlflow_backend.server import keys
from tests.components.ecs.cloud import LOCATOR, Cloud

if TYPE_CHECKING:
    from collections.abc import Callable

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    """A local stack that was updated once."""
    made = StateDir(tmp_path / ".backend" / "local")
    credentials.ensure(made)
    return made


def test_a_rotation_comes_into_force_by_the_next_update_and_keeps_the_old_keys(
    state: StateDir, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A server that restarts before the update still reads its data; running the command again changes nothing."""
    first = encryption.values(state)
    assert rotate_keys.main([], root=tmp_path) == ExitCode.DONE
    assert encryption.values(state) == first
    assert encryption.waiting(state)
    drawn = (state.credentials / bundle.FILE).read_text()
    assert rotate_keys.main([], root=tmp_path) == ExitCode.DONE
    assert (state.credentials / bundle.FILE).read_text() == drawn
    before = credentials.versions(state)
    after = credentials.ensure(state)
    assert {name for name in before if before[name] != after[name]} == set(keys.NAMES)
    assert json.loads(encryption.value(state, keys.FORMER)) == [{name: first[name] for name in keys.IN_FORCE}]
    assert not encryption.waiting(state)
    said = "".join(capsys.readouterr())
    assert not any(value in said for name, value in first.items() if name in {keys.WEBHOOK, keys.PASSPHRASE})


def test_a_stack_that_is_not_there_is_refused(tmp_path: Path) -> None:
    """Nothing is made for a stack that was never deployed."""
    (tmp_path / "Pulumi.local.yaml").write_text("config:\n  mlflow-backend:target: local\n", encoding="utf-8")
    assert rotate_keys.main([], root=tmp_path) == ExitCode.REFUSED
    assert [each.name for each in tmp_path.iterdir()] == ["Pulumi.local.yaml"]


def _older(path: Path) -> None:
    document = json.loads(path.read_text())
    path.write_text(json.dumps({"inForce": {**document["inForce"], keys.PASSPHRASE: "another"}}))


DAMAGES: dict[str, Callable[[Path], Any]] = {
    "deleted": lambda path: path.unlink(),
    "empty": lambda path: path.write_text(""),
    "garbage": lambda path: path.write_bytes(b"\xff\x00"),
    "truncated": lambda path: path.write_text(path.read_text()[:80]),
    "another type": lambda path: path.write_text("[]"),
    "no keys": lambda path: path.write_text("{}"),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
    "another one's": _older,
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_lost_keys_are_refused_until_they_are_given_up(state: StateDir, tmp_path: Path, damage: Any) -> None:
    """What was encrypted with them is lost with them: nobody loses it unasked, and the message says both ways out."""
    path = state.credentials / bundle.FILE
    whole = path.read_bytes()
    first = encryption.values(state)
    damage(path)
    with pytest.raises(PlatformFailed) as failed:
        credentials.ensure(state)
    assert str(path) in str(failed.value)
    assert "scripts.rotate_keys --stack local --lost" in str(failed.value)
    assert not any(first[name] in str(failed.value) for name in (keys.WEBHOOK, keys.PASSPHRASE))
    if not path.is_dir():
        path.write_bytes(whole)
        credentials.ensure(state)
        assert encryption.values(state) == first
        damage(path)
    assert rotate_keys.main(["--lost"], root=tmp_path) == ExitCode.DONE
    credentials.ensure(state)
    assert encryption.value(state, keys.WEBHOOK) != first[keys.WEBHOOK]


@pytest.mark.parametrize("pinned", [True, False])
def test_a_pinned_stack_on_ecs_is_refused_as_a_local_one_is(monkeypatch: pytest.MonkeyPatch, *, pinned: bool) -> None:
    """Its secret gets no new version; without the pin it gets one."""
    pin = Pin(revision="2", since=datetime(2026, 11, 21, tzinfo=UTC), reason="slow", by="ada@host")
    rotated: list[str] = []
    deployed = Cloud().releases
    monkeypatch.setattr(deployed.ledger, "state", lambda: LedgerState(pin=pin if pinned else None))
    monkeypatch.setattr(stacks, "opened", lambda *_: deployed)
    monkeypatch.setattr("mlflow_backend.aws.secrets.rotate_keys", lambda _, name: rotated.append(name))
    code = rotate_keys.main(["--stack", "dev"], root=ROOT)
    assert (code, rotated) == ((ExitCode.REFUSED, []) if pinned else (ExitCode.DONE, [LOCATOR.secret]))
