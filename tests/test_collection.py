"""Of the tests themselves: none is left out, and each level runs apart."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys

import pytest

from tests.tools.projects import ROOT, files_of_the_tree

MAKEFILE = (ROOT / "Makefile").read_text()


def holds_tests(text: str) -> bool:
    """Whether a file defines what pytest would take for a test."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            return True
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            return True
    return False


def test_no_test_stands_where_no_runner_looks() -> None:
    """Every file with a test in it is named test_*.py and lies in tests/; there is one runner, pytest."""
    with_tests = [str(path) for path in files_of_the_tree("*.py") if holds_tests((ROOT / path).read_text())]
    astray = [name for name in with_tests if not re.fullmatch(r"tests/(?:.*/)?test_\w+\.py", name)]
    assert not astray


@pytest.fixture(scope="module")
def collected() -> set[str]:
    """The files that pytest collects tests from, when it is called as `make test` calls it."""
    command = (sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider")
    # A developer's own options, -v for one, would change what is printed.
    environment = {name: value for name, value in os.environ.items() if name != "PYTEST_ADDOPTS"}
    told = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300, check=False)
    assert told.returncode == 0, told.stdout[-2000:] + told.stderr[-2000:]
    return {line.partition("::")[0] for line in told.stdout.splitlines() if "::" in line}


def test_every_test_file_is_collected(collected: set[str]) -> None:
    """A file that lost its last test, is shadowed by another, or is ignored by a setting, tests nothing any more."""
    files = {str(path.relative_to(ROOT)) for path in (ROOT / "tests").rglob("test_*.py")}
    assert files == collected


def test_make_test_runs_them_all() -> None:
    """`make test` leaves out the long matrices alone, and `make test-full` nothing: what is collected is run."""
    recipes = dict(re.findall(r"^(test|test-full): .*\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE))
    assert recipes == {"test": "\t@$(PYTEST) -m 'not full'\n", "test-full": "\t@$(PYTEST)\n"}
    assert "-m '" not in next(line for line in MAKEFILE.splitlines() if line.startswith("PYTEST ="))
    assert (ROOT / ".ci" / "run").read_text().rstrip().endswith("exec make test")


def test_no_test_is_skipped_without_a_reason() -> None:
    """A skip says why; `-ra` then shows it at the end of the run."""
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"pytest.skip", "pytest.mark.skipif"}:
                said = node.args if ast.unparse(node.func) == "pytest.skip" else [k.value for k in node.keywords]
                assert said, f"{path}:{node.lineno}"
            assert not (isinstance(node, ast.Attribute) and ast.unparse(node) == "pytest.mark.skip"), path
