"""The preview command: what is refused early, what Pulumi decides, and the exit code of each."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from components import ending
from components.contract import BUILT_TARGETS, TARGETS, ExitCode
from scripts import preview

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def stand_in_pulumi(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Put a `pulumi` on PATH that notes its arguments and runs what the test writes into `does`.

    The engine itself is exercised by the engine tests; here it is the translation of its endings that is shown.
    """
    folder = tmp_path / "bin"
    folder.mkdir()
    command = folder / "pulumi"
    command.write_text(f'#!/bin/sh\necho "$@" > {tmp_path}/arguments\n. {tmp_path}/does\n', encoding="utf-8")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")
    return tmp_path


def _does(folder: Path, script: str) -> None:
    (folder / "does").write_text(script, encoding="utf-8")


@pytest.mark.parametrize("target", [target for target in TARGETS if target not in BUILT_TARGETS])
def test_a_stack_of_an_unbuilt_target_is_refused(
    stand_in_pulumi: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], target: str
) -> None:
    """Exit code 3 with one sentence, and Pulumi is not even started."""
    text = f"config:\n  mlflow-backend:target: {target}\n  mlflow-backend:access: {{mode: basic}}\n"
    (stand_in_pulumi / "Pulumi.x.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(preview, "ROOT", stand_in_pulumi)
    assert preview.main(["--stack", "x"]) is ExitCode.REFUSED
    assert f"The target '{target}' is not built yet" in capsys.readouterr().err
    assert not (stand_in_pulumi / "arguments").exists()


def test_a_stack_without_a_file_is_a_usage_error(stand_in_pulumi: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exit code 2, naming the file that was looked for."""
    assert preview.main(["--stack", "nowhere"]) is ExitCode.USAGE
    assert "Pulumi.nowhere.yaml" in capsys.readouterr().err
    assert not (stand_in_pulumi / "arguments").exists()


def test_settings_that_are_mistaken_are_told_before_pulumi_starts(
    stand_in_pulumi: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 2 with every problem."""
    (stand_in_pulumi / "Pulumi.x.yaml").write_text("config:\n  mlflow-backend:target: lokal\n", encoding="utf-8")
    monkeypatch.setattr(preview, "ROOT", stand_in_pulumi)
    assert preview.main(["--stack", "x"]) is ExitCode.USAGE
    assert "Did you mean local?" in capsys.readouterr().err


def test_settings_that_only_the_program_can_read_are_left_to_it(
    stand_in_pulumi: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An encrypted entry is not taken for a missing one."""
    text = "config:\n  mlflow-backend:target: {secure: v1:abc}\n"
    (stand_in_pulumi / "Pulumi.x.yaml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(preview, "ROOT", stand_in_pulumi)
    _does(stand_in_pulumi, "exit 0")
    assert preview.main(["--stack", "x"]) is ExitCode.DONE


@pytest.mark.parametrize(
    ("script", "code"),
    [
        ("exit 0", ExitCode.DONE),
        ("exit 255", ExitCode.PLATFORM_FAILED),
        (f'echo \'[3, "Refused it."]\' > "${ending.VARIABLE}"; exit 255', ExitCode.REFUSED),
        (f'echo \'[2, "Mistaken."]\' > "${ending.VARIABLE}"; exit 255', ExitCode.USAGE),
    ],
)
def test_pulumis_ending_is_translated(stand_in_pulumi: Path, script: str, code: ExitCode) -> None:
    """A refusal by the program is told apart from a failure of Pulumi, which has one exit code for both."""
    _does(stand_in_pulumi, script)
    assert preview.main(["--stack", "local"]) is code
    assert (stand_in_pulumi / "arguments").read_text(encoding="utf-8").split() == [
        "preview",
        "--stack",
        "local",
        "--non-interactive",
    ]


def test_a_pulumi_that_hangs_is_interrupted_at_the_deadline(
    stand_in_pulumi: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The engine is asked to stop before it is killed, so that it can release its lock and its plugins."""
    monkeypatch.setattr(preview, "DEADLINE_S", 3)
    heard = stand_in_pulumi / "heard"
    _does(stand_in_pulumi, f"trap 'touch {heard}; exit 1' INT\nwhile :; do sleep 0.1; done")
    assert preview.main(["--stack", "local"]) is ExitCode.PLATFORM_FAILED
    assert "had not ended" in capsys.readouterr().err
    assert heard.exists()


def test_a_pulumi_that_cannot_be_interrupted_is_killed(stand_in_pulumi: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command ends, whatever Pulumi does."""
    monkeypatch.setattr(preview, "DEADLINE_S", 0.2)
    monkeypatch.setattr(preview, "INTERRUPT_S", 0.2)
    _does(stand_in_pulumi, "trap '' INT\nwhile :; do sleep 0.1; done")
    assert preview.main(["--stack", "local"]) is ExitCode.PLATFORM_FAILED


def test_without_pulumi_the_fix_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing command is no traceback."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert preview.main(["--stack", "local"]) is ExitCode.PLATFORM_FAILED
    assert "make preview" in capsys.readouterr().err
