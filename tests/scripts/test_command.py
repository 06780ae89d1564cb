"""How commands end: by the exit codes of the design, and in peace with whoever stops reading."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from pathlib import Path

import pytest

from mlflow_backend.commands.command import ended
from mlflow_backend.contract import ExitCode, PlatformFailed, Refused
from mlflow_backend.settings import Problem, SettingsError

ROOT = Path(__file__).resolve().parents[2]
MISTAKE = Problem(path="server", finding="is a list", rule="it must be a mapping", fix="Fix it.")


@pytest.mark.parametrize(
    ("raised", "code"),
    [
        (Refused("It is locked.", code="of-a-test", fix="Wait."), ExitCode.REFUSED),
        (SettingsError([MISTAKE]), ExitCode.USAGE),
        (
            PlatformFailed("does not answer", code="of-a-test", fix="Run `make up`.", part="the database"),
            ExitCode.PLATFORM_FAILED,
        ),
    ],
)
def test_what_stops_a_command_is_its_exit_code_and_one_sentence(
    capsys: pytest.CaptureFixture[str], raised: Exception, code: ExitCode
) -> None:
    """On standard error, after the command's name, so that what is shown can be piped."""

    def stopped() -> int:
        raise raised

    assert ended("status", stopped, argparse.Namespace(stack="dev")) is code
    printed = capsys.readouterr()
    assert printed.err == f"status: {raised}\n"
    assert not printed.out


def test_a_command_that_is_offered_can_be_typed_as_it_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    """The stack is the one that was asked about."""

    def damaged() -> int:
        raise Refused(
            "It is damaged.",
            code="of-a-test",
            fix="Accept it with `python -m scripts.releases --stack STACK --accept-loss`.",
        )

    assert ended("releases", damaged, argparse.Namespace(stack="dev")) is ExitCode.REFUSED
    assert "`python -m scripts.releases --stack dev --accept-loss`" in capsys.readouterr().err


def test_a_fault_of_the_program_is_no_failure_of_the_platform() -> None:
    """It keeps its traceback."""
    with pytest.raises(ZeroDivisionError):
        ended("status", lambda: 1 // 0, argparse.Namespace(stack="dev"))


@pytest.mark.parametrize(
    ("characters", "code"), [(10, ExitCode.VERIFICATION_FAILED), (1_000_000, ExitCode.DONE)], ids=["at end", "midway"]
)
def test_whoever_reads_may_stop_reading(characters: int, code: ExitCode) -> None:
    """`| head`: nothing is reported on standard error, and a verdict that was reached stays the exit code."""
    reading, writing = os.pipe()
    os.close(reading)
    program = (
        "import argparse, sys; from mlflow_backend.commands.command import ended; "
        f"sys.exit(ended('x', lambda: print('x' * {characters}) or 1, argparse.Namespace(stack='dev')))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=ROOT,
        env={key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"},
        stdin=subprocess.DEVNULL,
        stdout=writing,
        stderr=subprocess.PIPE,
        text=True,
        timeout=60,
        check=False,
    )
    os.close(writing)
    assert (done.returncode, done.stderr) == (code, "")
