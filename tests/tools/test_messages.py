"""A code names one message, because callers tell cases apart by it; the texts are read from the source as they are."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.contract import BackendError
from tools import messages

if TYPE_CHECKING:
    from pathlib import Path


def test_every_error_has_a_code_of_its_own() -> None:
    """In kebab case, and once in the source: two errors with one code could not be distinguished."""
    assert messages.unnamed() == []
    codes = [each.code for each in messages.messages() if each.section in messages.ERRORS]
    assert [code for code in codes if not re.fullmatch(r"[a-z][a-z0-9]*(-[a-z0-9]+)+", code)] == []
    assert sorted(codes) == sorted(set(codes))


def test_every_type_of_error_is_on_the_page() -> None:
    """A type that is added has a section."""
    kinds = {BackendError}
    while more := {sub for kind in kinds for sub in kind.__subclasses__()} - kinds:
        kinds |= more
    known = {kind.__name__ for kind in kinds if kind.__module__ == "mlflow_backend.contract"}
    assert known == set(messages.ERRORS) | {"BackendError"}


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ('Refused("It is so", code="so", fix="Do.")', "It is so. Do."),
        ('Refused(f"{a.b} is {len(c)}", code="so", part="key")', "key: {b} is {c}."),
        ("Refused(f\"{', '.join(x for x in many)}: {it['key']}\", code=\"so\")", "{many}: {key}."),
        ('Refused("a " "b|c" + str(d), code="so", fix=say(e))', r"a b\|c{d}. {say}"),
    ],
)
def test_a_message_is_read_from_the_source(tmp_path: Path, source: str, text: str) -> None:
    """Its parts are put together as the error does it, and what is put in is named."""
    (tmp_path / "scripts").mkdir()
    (tmp_path / "scripts" / "one.py").write_text(f"def work():\n    raise {source}\n")
    ast.parse(source)
    (found,) = messages.messages(tmp_path)
    assert (found.section, found.code, found.text) == ("Refused", "so", text)


def test_a_text_with_a_name_is_put_in(tmp_path: Path) -> None:
    """Where a function gives it once; a name that is given twice stays a name."""
    (tmp_path / "components").mkdir()
    once = 'def work():\n    fix = "Do."\n    raise Refused("So.", code="so", fix=fix)\n'
    twice = once.replace("    fix", '    fix = "Or."\n    fix', 1).replace('"so"', '"other"')
    (tmp_path / "components" / "one.py").write_text(once + twice)
    assert [each.text for each in messages.messages(tmp_path)] == ["So. {fix}", "So. Do."]
