"""Of the tests themselves: none is left out, and each level runs apart."""

from __future__ import annotations

import ast
import os
import re
import subprocess
import sys

import pytest

from tests.tools.projects import ROOT, files_of_the_tree


def holds_tests(text: str) -> bool:
    """Whether a file defines what pytest would take for a test."""
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name.startswith("test"):
            return True
        if isinstance(node, ast.ClassDef) and node.name.startswith("Test"):
            return True
    return False


def test_no_test_stands_where_no_runner_looks() -> None:
    """Every file with a test in it is named test_*.py and is in tests/; there is one runner, pytest."""
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


@pytest.mark.parametrize(("target", "left_out"), [("test", ["not full"]), ("test-full", [])])
def test_make_leaves_out_the_long_matrices_alone(target: str, left_out: list[str]) -> None:
    """A level that a recipe deselects is in no run: what `make` would call is asked of `make` itself."""
    done = subprocess.run(("make", "-n", target), cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    called = [line for line in done.stdout.splitlines() if "-m pytest" in line or "/pytest" in line]
    assert called
    assert re.findall(r" -m '([^']*)'", "".join(called)) == left_out
    assert "make test" in (ROOT / ".ci" / "run").read_text()


def test_no_test_imports_from_another_test() -> None:
    """What two tests use is a support module, so that a test can be moved or split without the other."""
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("tests."):
                named = [node.module or "", *(f"{node.module}.{each.name}" for each in node.names)]
                assert not [name for name in named if name.split(".")[-1].startswith("test_")], path


def test_no_test_is_skipped_without_a_reason() -> None:
    """A skip says why; `-ra` then shows it at the end of the run."""
    for path in (ROOT / "tests").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and ast.unparse(node.func) in {"pytest.skip", "pytest.mark.skipif"}:
                said = node.args if ast.unparse(node.func) == "pytest.skip" else [k.value for k in node.keywords]
                assert said, f"{path}:{node.lineno}"
            assert not (isinstance(node, ast.Attribute) and ast.unparse(node) == "pytest.mark.skip"), path


def test_a_docstring_of_a_test_stands_without_its_name() -> None:
    """CONTRIBUTING.md, 'Language': a sentence that goes on from the test's name says nothing by itself."""
    for path in (ROOT / "tests").rglob("test_*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                first = (ast.get_docstring(node) or "-").split()[0]
                assert first not in {"And", "But", "Else", "Nor", "Or", "So"}, f"{path}:{node.lineno}"
