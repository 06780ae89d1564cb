"""Parts of docs/ that are made of code: the commands by their parsers, and the decisions by their titles.

The pages hold blocks of cog that call these functions; `make pages` runs them, and a test fails if one is not current.
"""

from __future__ import annotations

import argparse
import importlib.util
import inspect
import re
from pathlib import Path
from typing import TYPE_CHECKING
from unittest import mock

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
COMMANDS = ROOT / "docs" / "commands"
DECISIONS = ROOT / "docs" / "adr"


class _ParserFound(Exception):
    """Carries the parser out of a command's main function."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        super().__init__()
        self.parser = parser


def modules() -> list[str]:
    """Return the module of every command, by name."""
    paths = sorted(path for path in (ROOT / "scripts").rglob("*.py") if '__name__ == "__main__"' in path.read_text())
    return [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in paths]


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
    """Return what a command says of itself: the package's module of its name, if there is one, else its own."""
    inner = module.replace("scripts.", "mlflow_backend.commands.", 1)
    packaged = not module.startswith("scripts.ci.") and importlib.util.find_spec(inner)
    return inspect.getdoc(importlib.import_module(inner if packaged else module)) or ""


def command(module: str) -> str:
    """Return what a command is for, how it is called, and each argument."""
    rows = [f"| {typed} | {meaning} |" for typed, meaning in _options(parser_of(module))]
    table = ["| argument | |", "|---|---|", *rows] if rows else ["It takes no arguments."]
    return "\n".join([description_of(module), "", f"Call: `python -m {module}`", "", *table])


def commands() -> str:
    """Return the list of all commands."""
    rows = [
        f"| [{module.removeprefix('scripts.')}]({page_of(module).name}) | {description_of(module).splitlines()[0]} |"
        for module in modules()
    ]
    return "\n".join(["| command | |", "|---|---|", *rows])


def page_of(module: str) -> Path:
    """Return where the page of a command stands."""
    return COMMANDS / f"{module.removeprefix('scripts.').replace('.', '-').replace('_', '-')}.md"


def decisions() -> str:
    """Return the list of all decisions."""
    titles = {path: path.read_text(encoding="utf-8").splitlines()[0] for path in DECISIONS.glob("[0-9]*.md")}
    return "\n".join(
        f"- [{path.name[:4]}]({path.name}): {re.sub(r'^# [0-9]+[.] ', '', titles[path])}" for path in sorted(titles)
    )


def alerts() -> str:
    """Return the table of what each cloud watches in the place of an alert."""
    from mlflow_backend.monitoring import ALERTS, platforms  # noqa: PLC0415 - for this one page

    rows = (
        f"| [{alert.name}](#{alert.name.lower()}) | {platforms.described(platforms.CLOUDWATCH[alert.name])} "
        f"| {platforms.described(platforms.CLOUD_MONITORING[alert.name])} |"
        for alert in ALERTS
    )
    return "\n".join(("| alert | CloudWatch (`ecs`) | Cloud Monitoring (`cloudrun`) |", "|---|---|---|", *rows))


def _options(parser: argparse.ArgumentParser) -> Iterator[tuple[str, str]]:
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
