"""SECURITY.md: each promise names the test that holds it, and each test that is named exists."""

from __future__ import annotations

import ast
import re

import pytest

from tests.tools.projects import ROOT

PAGE = (ROOT / "SECURITY.md").read_text()
NAMED = re.compile(r"`(tests/[\w/.-]+\.py)(?:::(\w+))?`")
# Tables whose rows are promises, by their heading.
PROMISES = ("Who can reach what", "What is secret, and where it is")


def section(heading: str) -> str:
    """The text below a heading, up to the next."""
    return PAGE.split(f"## {heading}\n", 1)[1].split("\n## ", 1)[0]


@pytest.mark.parametrize(("path", "name"), sorted(set(NAMED.findall(PAGE))))
def test_what_is_named_exists(path: str, name: str) -> None:
    """A test that was renamed or deleted would leave a promise that nothing holds."""
    tree = ast.parse((ROOT / path).read_text())
    names = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert not name or name in names
    assert any(found.startswith("test_") for found in names)


@pytest.mark.parametrize("heading", PROMISES)
def test_each_row_names_what_holds_it(heading: str) -> None:
    """A row without a test is a wish."""
    rows = [line for line in section(heading).splitlines() if line.startswith("|")][2:]
    assert rows
    unheld = [row for row in rows if not NAMED.search(row) and not re.search(r"\| (the same|as of)", row)]
    assert unheld == []


def test_each_of_what_we_rely_on_names_what_holds_it() -> None:
    """The same for the list of what the whole stands on."""
    points = re.split(r"\n- ", section("What we rely on"))[1:]
    assert points
    assert [point for point in points if not NAMED.search(point)] == []
