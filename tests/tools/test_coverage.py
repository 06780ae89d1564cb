"""The pure modules: one list, of modules that really do not act, each held to its coverage."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.tools.projects import ROOT
from tools import coverage

ACTS = frozenset(
    {
        *("boto3", "botocore", "psutil", "psycopg2", "pulumi", "pulumi_aws", "random", "redis", "requests"),
        *("secrets", "shutil", "signal", "socket", "ssl", "subprocess", "tempfile", "threading", "time", "urllib3"),
    }
)
"""What a module that only decides has no use for at run time."""
ALLOWED = {
    "components/mlflow_backend/settings/source.py": {"pulumi"},  # the one reader of pulumi.Config
    "scripts/ci/affected.py": {"subprocess"},  # it asks git; what it decides is a function without it
}


def imports_at_run_time(text: str) -> set[str]:
    """The packages that a module imports, but for those that only the type checker sees."""
    found: set[str] = set()

    def visit(node: ast.AST) -> None:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            return
        if isinstance(node, ast.Import):
            found.update(alias.name.partition(".")[0] for alias in node.names)
        if isinstance(node, ast.ImportFrom) and not node.level:
            found.add(str(node.module).partition(".")[0])
        for child in ast.iter_child_nodes(node):
            visit(child)

    visit(ast.parse(text))
    return found


@pytest.mark.parametrize("module", coverage.pure_modules(), ids=str)
def test_a_pure_module_imports_nothing_that_acts(module: Path) -> None:
    """What decides can be tried with values alone, and runs the same in a provider, a script and a task."""
    acts = imports_at_run_time((ROOT / module).read_text()) & ACTS
    assert acts <= ALLOWED.get(str(module), set())


def calls_itself_pure(text: str) -> bool:
    """Whether a module's first line promises that it decides and does not act."""
    first = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    return re.search(r"^Pure: |\. Pure(\.|: |, |;)", first) is not None


def test_what_calls_itself_pure_is_held_to_it() -> None:
    """A new pure module that nobody listed would be measured by nobody."""
    modules = {
        path.relative_to(ROOT)
        for folder in ("components", "scripts", "server/src", "tools")
        for path in (ROOT / folder).rglob("*.py")
        if calls_itself_pure(path.read_text(encoding="utf-8"))
    }
    assert modules - set(coverage.pure_modules()) == set()
    assert len(modules) > 40


def entry(percent: float) -> dict[str, object]:
    """A module as coverage's JSON report has it."""
    return {"summary": {"percent_covered": percent}, "missing_lines": [7], "missing_branches": [[3, -1]]}


def test_what_is_below_the_limit_is_named() -> None:
    """The line says how far it is, and what is not run; a module that was not measured is no pass."""
    modules = [Path("a.py"), Path("b.py"), Path("c.py")]
    found = list(coverage.below({"a.py": entry(95.0), "b.py": entry(94.9)}, modules, 95.0))
    assert found == ["b.py: 94.9 %; lines never run: 7; branches never taken: 3->-1", "c.py: not measured"]


def test_a_pattern_that_names_nothing_is_an_error(tmp_path: Path) -> None:
    """A module that moved would no longer be held to anything."""
    with pytest.raises(ValueError, match=r"contract\.py names no module"):
        coverage.pure_modules(tmp_path)
