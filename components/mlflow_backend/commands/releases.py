"""List the releases of a stack: what serves, what was verified, and whether a rollback to each is possible.

Exit codes: 0 listed; 2 usage; 3 refused; 4 the platform failed.
"""

from __future__ import annotations

import argparse
import json
import sys
import uuid
from datetime import UTC, datetime
from functools import partial
from pathlib import Path

from mlflow_backend.commands import stacks
from mlflow_backend.commands.command import ended
from mlflow_backend.contract import ExitCode
from mlflow_backend.identity import ANY, object_of
from mlflow_backend.releases import text
from mlflow_backend.releases.status import list_releases


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    line = argparse.ArgumentParser(prog="python -m scripts.releases", description=__doc__)
    stacks.add_choice(line)
    line.add_argument("--json", action="store_true", help="print JSON instead of the table")
    line.add_argument(
        "--accept-loss", action="store_true", help="go on from the newest readable record of a damaged ledger"
    )
    line.add_argument(
        "--accept-identity",
        action="store_true",
        help="take the database and the store that are there now for this backend's; the next `make up` records them",
    )
    return line


def main(arguments: list[str] | None = None, *, root: Path | None = None) -> int:
    """Run the command."""
    root = root or Path.cwd()
    options = parser().parse_args(arguments)
    return ended("releases", partial(_list, options, root), options)


def _list(options: argparse.Namespace, root: Path) -> ExitCode:
    target = stacks.opened(options, root)
    if options.accept_loss:
        record = target.ledger.accept_loss()
        print(f"the ledger goes on at record {record.number}; the damaged ones are set aside")
        return ExitCode.DONE
    if options.accept_identity:
        # The store's own word first: a ledger that accepts another backend beside a store that does not stays red.
        target.platform.mark_store(object_of(str(uuid.uuid4()), ANY))
        record = target.ledger.accept_identity("by scripts.releases --accept-identity")
        print(f"record {record.number}: database and store are taken as they are; `make up` records and verifies them")
        return ExitCode.DONE
    context = target.rollback_context(verify_checksums=False)
    releases = list_releases(context)
    lines = text.ledger_lines(context.contents)
    if options.json:
        print(
            json.dumps(
                {"releases": [text.release_document(release) for release in releases], "ledger": lines}, indent=2
            )
        )
    else:
        print("\n".join([*text.table(releases, now=datetime.now(UTC)), *text.blocked_lines(releases), *lines]))
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main())
