"""The matrices of tests: which rows `make test` leaves out, and that a page names them."""

from __future__ import annotations

import re

import pytest

from tests.matrices import rows
from tests.tools.projects import ROOT, files_of_the_tree

PAGE = ROOT / "docs" / "testing" / "full.md"
MARKED = re.compile(r"from tests\.matrices import rows|pytest\.mark\.full")


def test_what_is_not_shown_is_marked() -> None:
    """In the order of the matrix, and nothing is lost."""
    found = rows(("a", "b", "c"), shown=("b",))
    assert [getattr(row, "values", (row,)) for row in found] == [("a",), ("b",), ("c",)]
    assert [[mark.name for mark in getattr(row, "marks", ())] for row in found] == [["full"], [], ["full"]]


@pytest.mark.parametrize("shown", [(), ("z",), ("a", "z")])
def test_a_matrix_without_its_representative_is_refused(shown: tuple[str, ...]) -> None:
    """`make test` would show nothing of it, and nobody would see that."""
    with pytest.raises(ValueError, match="among"):
        rows(("a", "b"), shown=shown)


def test_the_page_names_each_file_with_rows_that_make_test_leaves_out() -> None:
    """Only those rows are marked."""
    files = [path for path in files_of_the_tree("tests/**/test_*.py") if path.name != "test_matrices.py"]
    marked = {str(path) for path in files if MARKED.search((ROOT / path).read_text())}
    assert set(re.findall(r"\(\.\./\.\./(tests/[^)]+\.py)\)", PAGE.read_text())) == marked
