"""The commands of the repository are all listed where people look for them."""

from __future__ import annotations

import os
import re
import subprocess

import pytest

from tests.tools.projects import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
PUBLIC = next(line for line in MAKEFILE.splitlines() if line.startswith(".PHONY:")).split()[1:]


# The suite runs under `make test`, whose flags a make below it would take over.
ENVIRONMENT = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}


def make(*arguments: str) -> str:
    """What make prints."""
    command = ["make", "--no-print-directory", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=ENVIRONMENT, capture_output=True, text=True, timeout=30, check=True
    ).stdout


def test_help_lists_every_target() -> None:
    """Each target has a line of its own with a text."""
    listed = dict(line.split(maxsplit=1) for line in make("help").splitlines())
    assert sorted(listed) == sorted(PUBLIC)
    assert all(listed.values())


def test_plain_make_lists_the_targets() -> None:
    """Whoever types `make` alone changes nothing."""
    assert make() == make("help")


@pytest.mark.parametrize("target", [name for name in PUBLIC if name not in {"help", "lock"}])
def test_every_target_sets_up_what_it_needs(target: str) -> None:
    """On a fresh clone each command works first: `make test` where `make up` never ran."""
    assert re.match(r"python3 -m tools\.bootstrap\b", make("--dry-run", target))


def test_what_is_done_is_printed_once() -> None:
    """Pulumi's own preview before an end that nobody is asked about would print the plan twice."""
    (line,) = (line for line in make("--dry-run", "down").splitlines() if "pulumi destroy" in line)
    assert "--skip-preview" in line


def test_an_update_is_the_command_that_holds_it_to_the_policies() -> None:
    """Not Pulumi's own, which checks a whole stack when everything is made."""
    recipe = make("--dry-run", "up", "STACK=dev")
    assert "python -m scripts.up --stack dev" in recipe
    assert "pulumi up" not in recipe


def test_ci_runs_the_tests() -> None:
    """What CI runs is what a developer runs."""
    assert "make test" in (ROOT / ".ci" / "run").read_text()
