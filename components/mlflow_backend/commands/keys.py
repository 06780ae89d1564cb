"""List, add and revoke the API keys of a local stack; servers take a change over within a minute, without an update.

A key is written into a file of mode 600 and never printed. Exit codes: 0 done; 2 usage; 3 refused.
"""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path

from mlflow_backend.commands import stacks
from mlflow_backend.commands.command import offered_to, with_verbs
from mlflow_backend.contract import ExitCode, PlatformFailed, Refused
from mlflow_backend.local import api_keys
from mlflow_backend.local.locator import LocalLocator
from mlflow_backend.local.state import StateDir

MOST_DAYS = 3650


def main(arguments: list[str] | None = None, *, root: Path | None = None) -> int:
    """Run the command; returns an exit code of `contract.ExitCode`."""
    root = root or Path.cwd()
    parser = argparse.ArgumentParser(prog="scripts/keys.py", description=__doc__)
    verb = with_verbs(parser, partial(stacks.add_choice, default="local"))
    verb("list", help="names, scopes and when they expire")
    adding = verb("add", help="make a key, and say which file holds it")
    adding.add_argument("name", help="who or what uses it; it appears in logs")
    adding.add_argument(
        "scope", choices=("read", "write", "admin"), help="write includes read; admin also users, webhooks and secrets"
    )
    adding.add_argument("--days", type=_days, default=365, help="it expires after so many; 0: never (default: 365)")
    verb("revoke", help="refuse a key from now on").add_argument("name")
    options = parser.parse_args(arguments)
    try:
        state = _state(options, root)
        if options.verb == "add":
            path = api_keys.add(state, options.name, options.scope, days=options.days)
            print(f"The key is in {path}; with access.mode token it is valid within a minute.")
        elif options.verb == "revoke":
            api_keys.revoke(state, options.name)
            print(f"{options.name} is refused within a minute.")
        else:
            print("\n".join(map(_line, api_keys.entries(state))))
    except (PlatformFailed, Refused) as failure:
        print(offered_to(str(failure), options), file=sys.stderr)
        return ExitCode.REFUSED
    return ExitCode.DONE


def _state(options: argparse.Namespace, root: Path) -> StateDir:
    """Return the folder of a backend that has API keys. Raises Refused."""
    state = StateDir(root / stacks.FOLDER / options.stack)
    if options.locator is not None:
        found = stacks.located(options, root)
        if not isinstance(found, LocalLocator):
            raise Refused(
                f"The keys of a backend on {found.kind} are not kept here.",
                code="keys-elsewhere",
                fix="Change the secret of its API keys.",
            )
        state = found.state
    if not (state.credentials / api_keys.FILE).exists():
        raise Refused(
            f"Stack {state.path.name} has no API keys here.", code="keys-missing", fix="Run `make up STACK=STACK`."
        )
    return state


def _line(entry: dict[str, str]) -> str:
    return f"{entry['name']:<30} {entry['scope']:<5} {entry.get('expires', 'never expires')}"


def _days(text: str) -> int:
    days = int(text)
    if not 0 <= days <= MOST_DAYS:
        message = f"{days} is not between 0 and {MOST_DAYS}"
        raise argparse.ArgumentTypeError(message)
    return days


if __name__ == "__main__":
    sys.exit(main())
