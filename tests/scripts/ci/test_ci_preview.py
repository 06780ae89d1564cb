"""The preview of a pull request: its ending decides the check, its report reaches the people."""

from __future__ import annotations

import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.contract import ExitCode
from mlflow_backend.report import markdown as report
from mlflow_backend.report.model import Report, Verdict
from scripts.ci import comment as comments
from scripts.ci import preview, runner
from tests.scripts.ci.github import TOKEN

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.scripts.ci.github import GitHub

STAND_IN = """
import os, pathlib, sys
arguments = dict(zip(sys.argv[1::1], sys.argv[2::1]))
pathlib.Path({seen!r}).write_text(repr((sys.argv[1:], dict(os.environ))))
if {report!r}:
    pathlib.Path(arguments["--markdown"]).write_text({report!r})
sys.exit({code})
"""


def stand_in(folder: Path, *, code: int, report: str = "| table |") -> tuple[str, ...]:
    """A program instead of scripts/preview.py, which ends with `code`."""
    path = folder / "stand_in.py"
    path.write_text(STAND_IN.format(seen=str(folder / "seen"), report=report, code=code))
    return (sys.executable, str(path))


@pytest.mark.parametrize(
    ("code", "ends"),
    [
        (ExitCode.DONE, ExitCode.DONE),
        (ExitCode.CHANGES, ExitCode.DONE),
        (ExitCode.USAGE, ExitCode.USAGE),
        (ExitCode.REFUSED, ExitCode.REFUSED),
        (ExitCode.PLATFORM_FAILED, ExitCode.PLATFORM_FAILED),
        (77, 77),
    ],
)
def test_the_ending_decides_the_check(
    github: GitHub, surroundings: dict[str, str], tmp_path: Path, code: int, ends: int
) -> None:
    """Changes are what a pull request is for; everything else that is not 0 is red, and the comment says so of all."""
    assert preview.main(["--stack", "dev"], environment=surroundings, command=stand_in(tmp_path, code=code)) == ends
    (comment,) = github.comments
    assert comment["body"] == f"{comments.marker('dev')}\n| table |"
    assert "| table |" in (tmp_path / "summary.md").read_text()


def test_the_comment_is_the_report_and_nothing_else(
    github: GitHub, surroundings: dict[str, str], tmp_path: Path
) -> None:
    """It has the report's one heading below the marker by which the next run finds it."""
    written = report.text(Report(stack="dev", created_at="2026-01-01T00:00:00Z", verdict=Verdict.CHANGES, counts={}))
    command = stand_in(tmp_path, code=ExitCode.CHANGES, report=written)
    assert preview.main(["--stack", "dev"], environment=surroundings, command=command) == ExitCode.DONE
    (comment,) = github.comments
    assert comment["body"] == f"{comments.marker('dev')}\n{written}"
    assert len([line for line in written.splitlines() if line.startswith("## ")]) == 1


def test_the_preview_gets_the_shared_state_and_not_the_token(
    github: GitHub, surroundings: dict[str, str], tmp_path: Path
) -> None:
    """The program works on the team's state with the project's CLI, and cannot write to GitHub."""
    command = stand_in(tmp_path, code=0)
    surroundings["PULUMI_CONFIG_PASSPHRASE"] = "a passphrase of another project"
    preview.main(["--stack", "dev"], environment=surroundings, command=command)
    arguments, environment = eval((tmp_path / "seen").read_text())  # noqa: S307 - written by this test's own program
    assert arguments[:3] == ["--stack", "dev", "--detailed-exit-code"]
    assert environment["PULUMI_BACKEND_URL"] == surroundings["MLFLOW_BACKEND_STATE"]
    assert Path(environment["PATH"].split(":")[0]).parts[-2:] == (".tools", "bin")
    assert not {name for name in environment if "PASSPHRASE" in name}
    assert TOKEN not in str(environment)


@pytest.mark.parametrize(
    ("code", "heading"), [(2, "the settings are wrong"), (3, "refused"), (4, "the preview failed")]
)
def test_without_a_report_the_comment_leads_to_the_log(
    github: GitHub, surroundings: dict[str, str], tmp_path: Path, code: int, heading: str
) -> None:
    """A preview that ends early is not silent, and an old comment does not stand for it."""
    command = stand_in(tmp_path, code=code, report="")
    assert preview.main(["--stack", "dev"], environment=surroundings, command=command) == code
    assert f"## Preview of `dev`: {heading}" in github.comments[0]["body"]
    assert "https://github.example/team/backend/actions/runs/99" in github.comments[0]["body"]


def test_a_comment_that_cannot_be_written_is_red(
    github: GitHub, surroundings: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A green check with an old comment would be believed."""
    github.fail_with = 500
    command = stand_in(tmp_path, code=0)
    assert preview.main(["--stack", "dev"], environment=surroundings, command=command) == ExitCode.PLATFORM_FAILED
    assert "the comment cannot be written" in capsys.readouterr().err
    command = stand_in(tmp_path, code=3)
    assert preview.main(["--stack", "dev"], environment=surroundings, command=command) == ExitCode.REFUSED
    del surroundings["GITHUB_TOKEN"]
    command = stand_in(tmp_path, code=0)
    assert preview.main(["--stack", "dev"], environment=surroundings, command=command) == ExitCode.PLATFORM_FAILED
    assert "GITHUB_TOKEN is not set" in capsys.readouterr().err


def test_by_hand_there_is_no_comment(github: GitHub, surroundings: dict[str, str], tmp_path: Path) -> None:
    """The script runs outside of a pull request too."""
    del surroundings["PULL_REQUEST"]
    assert preview.main(["--stack", "dev"], environment=surroundings, command=stand_in(tmp_path, code=0)) == 0
    assert not github.calls


def test_without_the_state_nothing_is_started(
    surroundings: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """An empty local state would show every resource as new, which is worse than no preview."""
    surroundings["MLFLOW_BACKEND_STATE"] = ""
    command = stand_in(tmp_path, code=0)
    assert preview.main(["--stack", "dev"], environment=surroundings, command=command) == ExitCode.USAGE
    assert "MLFLOW_BACKEND_STATE is not set" in capsys.readouterr().err
    assert not (tmp_path / "seen").exists()


def test_an_output_is_one_line(surroundings: dict[str, str]) -> None:
    """A value with a line break could set another output."""
    with pytest.raises(ValueError, match="several lines"):
        runner.output("stacks", "a\nb=c", surroundings)


@pytest.mark.parametrize("ours", [signal.default_int_handler, signal.SIG_IGN], ids=["terminal", "background"])
def test_a_program_that_does_not_end_is_interrupted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ours: Callable[..., object]
) -> None:
    """The engine gets the chance to unlock its state, also if a shell's background has SIGINT ignored."""
    script = "trap 'touch left; exit 0' INT; while :; do sleep 0.05; done"
    before = signal.signal(signal.SIGINT, ours)
    try:
        code = runner.run(("sh", "-c", script), cwd=tmp_path, environment={"PATH": "/usr/bin:/bin"}, deadline_s=2)
    finally:
        signal.signal(signal.SIGINT, before)
    assert code == 1
    assert (tmp_path / "left").exists()
    assert "is interrupted" in capsys.readouterr().err
