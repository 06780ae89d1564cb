"""Print what a monitoring system needs of this project: the alerts as a rule file of Prometheus.

Labels say which series are the backend's: those that the scrape job gives to its targets.

Exit codes: 0 printed; 2 usage.
"""

from __future__ import annotations

import argparse
import re
import sys

import yaml

from mlflow_backend.contract import ExitCode
from mlflow_backend.monitoring import rules

# A label's name (Prometheus, 'Data model').
_LABEL = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns an exit code of `contract.ExitCode`."""
    options = command_line().parse_args(arguments)
    print(yaml.safe_dump(rules(dict(options.label or [("job", "mlflow-backend")])), sort_keys=False), end="")
    return ExitCode.DONE


def command_line() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = argparse.ArgumentParser(prog="scripts/monitor.py", description=__doc__)
    actions = parser.add_subparsers(dest="action", required=True)
    printed = actions.add_parser("rules", help="print the rule file")
    printed.add_argument(
        "--label",
        type=_label,
        action="append",
        metavar="NAME=VALUE",
        help="a label of the backend's series; may be repeated (default: job=mlflow-backend)",
    )
    return parser


def _label(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator or not _LABEL.fullmatch(name):
        message = f"{text} is not NAME=VALUE with the name of a label"
        raise argparse.ArgumentTypeError(message)
    return name, value


if __name__ == "__main__":
    sys.exit(main())
