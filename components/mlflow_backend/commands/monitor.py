"""Watch a local stack by Prometheus with this project's alerts, or print alerts and a dashboard for yours.

`run` needs Prometheus on PATH (Debian's package will do), listens on loopback alone, follows the stack from revision to
revision, and ends with Ctrl-C; its data stay for 15 days in `.backend/STACK/monitoring`. Of the others, the
labels are those that the scrape job gives to the backend's targets.

Exit codes: 0 printed, or ended by Ctrl-C; 2 usage; 3 Prometheus is not installed, or the stack is not on this machine;
4 Prometheus does not start, or ended.
"""

from __future__ import annotations

import argparse
import json
import re
import signal
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml

from mlflow_backend.commands import stacks
from mlflow_backend.commands.command import ended, with_verbs
from mlflow_backend.contract import ExitCode, Refused
from mlflow_backend.local.locator import LocalLocator
from mlflow_backend.local.watching import follow, watching
from mlflow_backend.monitoring import dashboard, rules

if TYPE_CHECKING:
    from types import FrameType

# A label's name (Prometheus, 'Data model').
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def main(arguments: list[str] | None = None, *, root: Path | None = None) -> int:
    """Run the command; returns an exit code of `contract.ExitCode`."""
    options = command_line().parse_args(arguments)
    if options.verb != "run":
        own = dict(options.label or [("job", "mlflow-backend")])
        text = yaml.safe_dump(rules(own), sort_keys=False) if options.verb == "rules" else _json(dashboard(own))
        print(text, end="")
        return ExitCode.DONE
    return ended("monitor", partial(_run, options, root or Path.cwd()), options)


def command_line() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = argparse.ArgumentParser(prog="scripts/monitor.py", description=__doc__)
    verb = with_verbs(parser, partial(stacks.add_choice, default="local"))
    verb("run", help="run Prometheus beside the stack")
    for name, what in (("rules", "print the rule file"), ("dashboard", "print a dashboard that Grafana imports")):
        verb(name, help=what).add_argument(
            "--label",
            type=_label,
            action="append",
            metavar="NAME=VALUE",
            help="a label of the backend's series; may be repeated (default: job=mlflow-backend)",
        )
    return parser


def _run(options: argparse.Namespace, root: Path) -> ExitCode:
    found = stacks.located(options, root)
    if not isinstance(found, LocalLocator):
        raise Refused(
            f"A backend on {found.kind} is not watched from here.",
            code="monitor-elsewhere",
            fix="See docs/runbooks/monitoring.md for its target.",
        )
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        with watching(found.state) as (url, process):
            print(f"Prometheus is at {url}/alerts. Ctrl-C ends it.", flush=True)
            follow(found.state, process)
    except KeyboardInterrupt:
        print("Prometheus has ended.")
    return ExitCode.DONE


def _json(document: dict[str, Any]) -> str:
    return json.dumps(document, indent=2) + "\n"


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _label(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not _LABEL.fullmatch(name):
        message = f"{text} is not NAME=VALUE with the name of a label"
        raise argparse.ArgumentTypeError(message)
    return name, value


if __name__ == "__main__":
    sys.exit(main())
