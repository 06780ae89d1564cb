"""Writes the pages of docs/ that are made of something else: `make pages`.

A page for each command of scripts/ in docs/commands/, from the command's own parser, the indexes of commands and of
the decisions, and the pages of the policies and of known vulnerabilities. What stands between the two marks of a page
is made; what stands outside is kept. A test fails when a page is not current.
"""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

from mlflow_backend.policy import page as policies_page
from tools import vulnerabilities_page

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ROOT = Path(__file__).resolve().parents[1]
PAGES = Path("docs", "commands")
BEGIN = "<!-- made by `make pages`: do not edit -->"
END = "<!-- end of what is made -->"


class _ParserFound(Exception):
    """Carries the parser out of a command's main function."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__()
        self.parser = parser


def modules(root: Path = ROOT) -> list[str]:
    """Return the module of every command, by name."""
    paths = (path.relative_to(root) for path in (root / "scripts").rglob("*.py"))
    found = sorted(path for path in paths if path.name != "__init__.py")
    texts = {path: (root / path).read_text(encoding="utf-8") for path in found}
    return [".".join(path.with_suffix("").parts) for path in found if '__name__ == "__main__"' in texts[path]]


def parser_of(module: str) -> argparse.ArgumentParser:
    """Return the parser that a command builds, by starting it and stopping it where it begins to parse."""

    def parse_args(parser: argparse.ArgumentParser, *_: object, **__: object) -> None:
        raise _ParserFound(parser)

    main = importlib.import_module(module).main
    arguments: tuple[list[str], ...] = ([],) if inspect.signature(main).parameters else ()
    with mock.patch.object(argparse.ArgumentParser, "parse_args", parse_args):
        try:
            main(*arguments)
        except _ParserFound as found:
            return found.parser
    message = f"{module}.main parses nothing"
    raise ValueError(message)


def description_of(module: str) -> str:
    """Return what a command says of itself: in its own module, or in the package's that it calls."""
    inner = module.replace("scripts.", "mlflow_backend.commands.", 1)
    packaged = "." not in inner.removeprefix("mlflow_backend.commands.") and importlib.util.find_spec(inner)
    return inspect.getdoc(importlib.import_module(inner if packaged else module)) or ""


def options(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
    """Return each argument as it is typed, and what it means."""
    for action in parser._actions:  # noqa: SLF001 - argparse has no public way to ask
        if isinstance(action, argparse._HelpAction):  # noqa: SLF001 - the same
            continue
        value = "" if action.nargs == 0 else " " + _value(action)
        typed = ", ".join(f"`{name}{value}`" for name in action.option_strings) or f"`{_value(action)}`"
        # argparse's own words for defaults and choices: %(default)s and the like.
        meaning = (action.help or "") % {**vars(action), "prog": parser.prog}
        yield typed, f"{meaning} (required)" if action.required and action.option_strings else meaning


def _value(action: argparse.Action) -> str:
    if action.choices is not None:
        return "\\|".join(map(str, action.choices))
    metavar = action.metavar or (action.dest.upper() if action.option_strings else action.dest)
    return metavar if isinstance(metavar, str) else " ".join(metavar)


def made_part(module: str) -> str:
    """Return what is made of one page: what the command is for, how it is called, and each argument."""
    parser = parser_of(module)
    description = description_of(module)
    rows = [f"| {typed} | {meaning} |" for typed, meaning in options(parser)]
    table = ["| argument | |", "|---|---|", *rows] if rows else ["It takes no arguments."]
    return "\n".join([BEGIN, description, "", f"Call: `python -m {module}`", "", *table, END])


def page(module: str, old: str) -> str:
    """Return the page of a command, with everything of the old page that is not made."""
    made = made_part(module)
    if BEGIN in old and END in old:
        before, _, rest = old.partition(BEGIN)
        return before + made + rest.partition(END)[2]
    name = module.removeprefix("scripts.")
    return f"{old.rstrip()}\n\n{made}\n" if old else f"# {name}\n\n{made}\n"


def path_of(module: str) -> Path:
    """Return where the page of a command stands."""
    return PAGES / f"{module.removeprefix('scripts.').replace('.', '-').replace('_', '-')}.md"


def index() -> str:
    """Return the list of all commands."""
    rows = []
    for module in modules():
        summary = description_of(module).splitlines()[0]
        rows.append(f"| [{module.removeprefix('scripts.')}]({path_of(module).name}) | {summary} |")
    head = ["# Commands", "", BEGIN, "| command | |", "|---|---|"]
    foot = [
        "",
        "Each runs as `python -m` and its module, such as `python -m scripts.status`, after `source .tools/activate`.",
        "What the exit codes mean is the same for all: [design](../design.md).",
        END,
    ]
    return "\n".join([*head, *rows, *foot]) + "\n"


def decisions(root: Path = ROOT) -> str:
    """Return the index of docs/adr/."""
    lines = []
    for path in sorted((root / "docs" / "adr").glob("[0-9]*.md")):
        title = path.read_text(encoding="utf-8").splitlines()[0].lstrip("# ")
        lines.append(f"- [{path.name[:4]}]({path.name}): {re.sub(r'^[0-9]+[.:]? *', '', title)}")
    what = "Each says what was asked, what was decided and why."
    return "\n".join(["# Decisions", "", what, "", BEGIN, *lines, END]) + "\n"


def main(arguments: Sequence[str]) -> int:
    """Write the pages that are not current; 0, or 1 with --check where one is not."""
    parser = argparse.ArgumentParser(prog="tools.pages", description=__doc__)
    parser.add_argument("--check", action="store_true", help="write nothing; 1 when a page is not current")
    chosen = parser.parse_args(arguments)
    wanted = {
        PAGES / "README.md": index(),
        Path("docs", "adr", "README.md"): decisions(),
        Path("docs", "policies.md"): policies_page.page(),
        Path("docs", "vulnerabilities.md"): vulnerabilities_page.page(),
    }
    for module in modules():
        path = ROOT / path_of(module)
        wanted[path_of(module)] = page(module, path.read_text(encoding="utf-8") if path.exists() else "")
    stale = [path for path, text in wanted.items() if not (ROOT / path).exists() or (ROOT / path).read_text() != text]
    for path in stale:
        print(f"{'not current' if chosen.check else 'written'}: {path}")
        if not chosen.check:
            (ROOT / path).write_text(wanted[path], encoding="utf-8")
    return 1 if chosen.check and stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
