"""Every command that a message offers, typed: it is one that the command's own parser, or the Makefile, takes."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path

import pytest

from tools.pages import parser_of

ROOT = Path(__file__).resolve().parents[2]
FOLDERS = ("components", "scripts", "server/src", "tools")
OFFERED = re.compile(r"python -m (?P<module>scripts\.[\w.]+)(?P<arguments>[^`\n]*)`")
MADE = re.compile(r"`make (?P<arguments>[^`]+)`|\(make (?P<bare>[a-z-]+)\)")
TARGETS = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
VARIABLES = {"STACK", "PURGE", "PYTHON", "PART", "PREVIEW_FLAGS", "UPGRADE"}


def messages() -> list[tuple[str, str]]:
    """Return every text of the code, with where it stands; what is computed in one is written as 1."""
    found = []
    for path in sorted(path for folder in FOLDERS for path in (ROOT / folder).rglob("*.py")):
        tree = ast.parse(path.read_text())
        parts = {id(value) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for value in node.values}
        for node in ast.walk(tree):
            where = f"{path.relative_to(ROOT)}:{getattr(node, 'lineno', 0)}"
            if isinstance(node, ast.JoinedStr):
                words = [value.value if isinstance(value, ast.Constant) else "1" for value in node.values]
                found.append((where, "".join(map(str, words))))
            elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in parts:
                found.append((where, node.value))
    return found


def offered() -> list[tuple[str, str, str]]:
    """Return module and arguments of each command of scripts/ that a message offers."""
    return [
        (where, match["module"], match["arguments"].replace(" 1--", " --").strip())
        for where, text in messages()
        for match in OFFERED.finditer(text)
    ]


def made() -> list[tuple[str, str]]:
    """Return the arguments of each `make` that a message offers."""
    return [(where, match["arguments"] or match["bare"]) for where, text in messages() for match in MADE.finditer(text)]


def test_there_are_messages_with_commands() -> None:
    """A generator that found none would prove nothing."""
    assert len(offered()) > 8
    assert len(made()) > 20


@pytest.mark.parametrize(("where", "module", "arguments"), offered(), ids=str)
def test_an_offered_command_is_one_that_its_parser_takes(where: str, module: str, arguments: str) -> None:
    """An option that was renamed lives on in the sentences that somebody copies in an emergency."""
    line = [word for word in shlex.split(arguments) if word not in {"...", "…"}]
    try:
        parser_of(module).parse_args(line)
    except SystemExit as ended:
        pytest.fail(f"{where}: {module} {arguments} ends with {ended.code}")


@pytest.mark.parametrize(("where", "arguments"), made(), ids=str)
def test_an_offered_make_is_one_of_the_makefile(where: str, arguments: str) -> None:
    """Its target and its variables are there."""
    target, *variables = shlex.split(arguments)
    if target.isupper() or "=" in target:
        variables, target = [target, *variables], "up"
    assert target in TARGETS, where
    assert {word.partition("=")[0] for word in variables if "=" in word} <= VARIABLES, where
