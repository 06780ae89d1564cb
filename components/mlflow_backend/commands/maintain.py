"""Maintain a backend beside its servers: remove for good what was deleted long ago, vacuum, and say what is large.

Removed are runs, logged models and experiments that were deleted more than `maintain.keepDeletedDays` ago, with their
artifacts, what verifications left, and old temporary files. What a version of a registered model uses is kept. Dumps,
and artifacts that nothing names, are listed, and removed by name alone.

Exit codes: 0 done, also if something was kept; 2 usage; 3 refused, nothing was touched; 4 the platform failed.
"""

from __future__ import annotations

import argparse
import json
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_backend import targets
from mlflow_backend.commands import stacks
from mlflow_backend.commands.command import ended, platform_errors
from mlflow_backend.contract import ExitCode, PlatformFailed, Refused
from mlflow_backend.releases import maintenance_record

if TYPE_CHECKING:
    from mlflow_backend.locator import Locator
    from mlflow_backend.target import Maintenance


def main(arguments: list[str] | None = None, *, root: Path | None = None) -> int:
    """Run the command; returns an exit code of `contract.ExitCode`."""
    options = command_line().parse_args(arguments)
    return ended("maintain", partial(_run, options, root or Path.cwd()), options)


def command_line() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = argparse.ArgumentParser(prog="python -m scripts.maintain", description=__doc__)
    stacks.add_choice(parser, default="local")
    parser.add_argument("--dry-run", action="store_true", help="say what would be removed, and do nothing")
    parser.add_argument("--json", action="store_true", help="print JSON, with everything that was kept")
    parser.add_argument(
        "--keep-deleted-days", type=_days, metavar="N", help="instead of the setting maintain.keepDeletedDays"
    )
    parser.add_argument(
        "--remove",
        action="append",
        metavar="NAME",
        help="remove only this: artifacts/PATH (a file or a folder) or dumps/ID, as listed; may be repeated",
    )
    return parser


def _run(options: argparse.Namespace, root: Path) -> int:
    located = stacks.located(options, root)
    maintenance = _maintenance(located)
    if options.remove:
        number = sum(maintenance.remove(name, dry_run=options.dry_run) for name in options.remove)
        done = "would be removed" if options.dry_run else "removed"
        print(json.dumps({"removed": number}) if options.json else f"{number} files {done}")
        return ExitCode.DONE
    days = options.keep_deleted_days or _setting(options, root)
    try:
        found = maintenance.maintain(keep_deleted_days=days, dry_run=options.dry_run)
    except PlatformFailed as failure:
        if not options.dry_run:
            _record(located, failure=str(failure))
        raise
    if not options.dry_run:
        _record(located)
    print(json.dumps(found.document(), indent=1, default=str) if options.json else "\n".join(found.lines()))
    return ExitCode.DONE


def _setting(options: argparse.Namespace, root: Path) -> int:
    """Return the setting of the stack's file; a backend that is named by its address has the default."""
    from mlflow_backend.settings import Settings  # noqa: PLC0415 - as above

    found = Settings(target="local") if options.locator else stacks.Stack(options.stack, root).settings
    return found.maintain.keep_deleted_days


def _record(located: Locator, *, failure: str = "") -> None:
    """Record how it went, for `make status`; whoever may maintain may perhaps not write to the store, and reads why."""
    try:
        maintenance_record.keep(targets.get(located.kind).platform(located).store, failure=failure)
    except platform_errors() as error:
        print(f"maintain: not recorded for `make status`: {error}", file=sys.stderr)


def _maintenance(located: Locator) -> Maintenance:
    """Return what maintains a backend. Raises Refused if nothing does."""
    maintenance = targets.get(located.kind).maintenance
    if maintenance is None:
        raise Refused(
            f"A backend on {located.kind} is not maintained from here.",
            code="maintain-elsewhere",
            fix="See docs/runbooks/maintenance.md for its target.",
        )
    return maintenance(located)


def _days(text: str) -> int:
    days = int(text)
    if days < 1:
        message = f"{days} is not 1 or more"
        raise argparse.ArgumentTypeError(message)
    return days


if __name__ == "__main__":
    sys.exit(main())
