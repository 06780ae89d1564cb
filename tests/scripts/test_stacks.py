"""Which backend a stack means, by its file alone."""

from __future__ import annotations

from pathlib import Path

import pytest

from mlflow_backend.commands import releases, rollback
from mlflow_backend.commands.stacks import Stack
from mlflow_backend.contract import ExitCode, Refused
from mlflow_backend.ecs import lookup
from mlflow_backend.local.locator import LocalLocator
from mlflow_backend.settings import SettingsError, YamlSource
from tests.components.ecs.cloud import LOCATOR

ROOT = Path(__file__).resolve().parents[2]


def test_a_local_stack_is_its_folder(tmp_path: Path) -> None:
    """A stack has its file, or something that was deployed; one that was purged is not an empty list."""
    for stack in ("one", "three"):
        file = tmp_path / f"Pulumi.{stack}.yaml"
        file.write_text("config:\n  mlflow-backend:target: local\n", encoding="utf-8")
    for stack in ("one", "two"):
        (tmp_path / ".backend" / stack).mkdir(parents=True)
    with pytest.raises(Refused) as refused:
        Stack("three", tmp_path).locator()
    assert refused.value.code == "backend-not-found"
    for stack in ("one", "two"):
        assert Stack(stack, tmp_path).locator() == LocalLocator(stack=stack, folder=str(tmp_path / ".backend" / stack))


def test_a_stack_that_nobody_knows_is_a_usage_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Not an empty list of releases."""
    for command in (releases, rollback):
        assert command.main(["--stack", "nowhere"], root=tmp_path) is ExitCode.USAGE
        assert "Pulumi.nowhere.yaml" in capsys.readouterr().err
    with pytest.raises(SettingsError):
        _ = Stack("nowhere", tmp_path).target


def test_an_ecs_stack_is_looked_up_by_the_names_of_its_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Project, stack, account and region make every name."""
    asked = []
    monkeypatch.setattr(
        lookup, "locate", lambda settings, place, _connection: asked.append((settings.target, place)) or LOCATOR
    )
    assert Stack("dev", ROOT).locator() is LOCATOR
    ((target, place),) = asked
    assert (target, place.project, place.stack, place.region) == ("ecs", "mlflow-backend", "dev", "eu-west-1")


def test_a_stacks_file_is_read_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a command plans with and what it verifies by are of one reading, also if the file is edited meanwhile."""
    read: list[Path] = []
    original = YamlSource.read
    monkeypatch.setattr(YamlSource, "read", lambda path: read.append(path) or original(path))
    monkeypatch.setattr(lookup, "locate", lambda *_: LOCATOR)
    stack = Stack("dev", ROOT)
    assert stack.locator() is LOCATOR
    assert (stack.settings.verify.profile, stack.target.name) == ("core", "ecs")
    assert read == [ROOT / "Pulumi.dev.yaml"]


def test_a_backend_that_is_not_deployed_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The message says what to do, and nothing was touched."""

    def locate(*_: object) -> dict[str, str]:
        raise Refused("It is not there.", code="of-a-test", fix="Deploy it first.")

    monkeypatch.setattr(lookup, "locate", locate)
    assert rollback.main(["--stack", "dev", "--to", "41"]) is ExitCode.REFUSED
    assert "Deploy it first" in capsys.readouterr().err
