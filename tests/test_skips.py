"""A run in CI that skips a test is red."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests import apt, skips

ROOT = Path(__file__).parents[1]
SKIPS = {
    "a test": "import pytest\ndef test_one():\n    pytest.skip('there is no such program')\n",
    "a fixture": "import pytest\n@pytest.fixture\ndef f():\n    pytest.skip('no')\ndef test_one(f):\n    pass\n",
    "a mark": "import pytest\n@pytest.mark.skipif(True, reason='no')\ndef test_one():\n    pass\n",
    "a module": "import pytest\npytest.skip('no', allow_module_level=True)\ndef test_one():\n    pass\n",
}
PASSES = "def test_two():\n    pass\n"


def run(folder: Path, *flags: str, ci: str) -> subprocess.CompletedProcess[str]:
    """Run the tests of a folder with the rule."""
    environment = {**os.environ, skips.VARIABLE: ci, "PYTHONPATH": str(ROOT)}
    line = [sys.executable, "-m", "pytest", "-q", "-p", "tests.skips", "--rootdir", str(folder), *flags, str(folder)]
    return subprocess.run(line, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.parametrize("kind", SKIPS)
def test_a_skip_is_red_in_ci_only(tmp_path: Path, kind: str) -> None:
    """Whatever skips, and in workers too; a developer's machine may lack a program."""
    (tmp_path / "test_skipped.py").write_text(SKIPS[kind])
    (tmp_path / "test_passes.py").write_text(PASSES)
    assert run(tmp_path, ci="").returncode == 0
    for flags in ((), ("--numprocesses", "2")):
        done = run(tmp_path, *flags, ci="true")
        assert done.returncode == 1, done.stdout
        assert "1 tests were skipped" in done.stdout


def test_a_run_without_a_skip_stays_green_in_ci(tmp_path: Path) -> None:
    """The rule asks for nothing else."""
    (tmp_path / "test_passes.py").write_text(PASSES)
    assert run(tmp_path, ci="true").returncode == 0


def test_the_rule_holds_for_this_run(pytestconfig: pytest.Config) -> None:
    """The plugin is loaded: also in the run that decides."""
    assert pytestconfig.pluginmanager.get_plugin("skips") is skips


def test_what_cannot_be_installed_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The reason of a skip says which program is missing."""
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "no-such-program" in str(apt.why_missing(("no-such-program",)))
