"""The command line: JSON for programs on standard output, words for people on standard error, a code for both."""

from __future__ import annotations

import argparse
import json
import os
import sys
from typing import TYPE_CHECKING, Any

from mlflow_backend_server.db import addresses, kept
from mlflow_backend_server.db.postgres import connected, tool_errors
from mlflow_backend_server.db.verdicts import ExitCode, ToolError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow_backend_server.db.addresses import Databases

DEFAULT_WAIT_S = 600.0
DUMPS_VARIABLE = "MLFLOW_BACKEND_DUMPS"


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code."""
    options = _parser().parse_args(argv)
    try:
        report = _run(options)
    except ToolError as error:
        report = {"exit_code": int(error.code), "error": error.finding, "fix": error.fix}
        say(str(error))
    json.dump(report, sys.stdout, indent=2)
    sys.stdout.write("\n")
    return int(report["exit_code"])


def say(line: str) -> None:
    """Write one line for people."""
    print(f"mlflow-backend db: {line}", file=sys.stderr, flush=True)


def _run(options: argparse.Namespace) -> dict[str, Any]:
    databases = addresses.from_environment(os.environ)
    if databases.administrator is not None:
        from mlflow_backend_server.db import roles

        roles.prepare(databases, wait_s=getattr(options, "wait", DEFAULT_WAIT_S), say=say)
    # Imported by command: a status needs neither Alembic nor an object store's client.
    if options.command in {"status", "check", "roots"}:
        return _read(options.command, databases)
    if options.command == "upgrade":
        from mlflow_backend_server.db import upgrade

        return upgrade.upgrade(databases, wait_s=options.wait, say=say)
    if options.command == "reencrypt":
        from mlflow_backend_server.db import reencrypt

        return reencrypt.reencrypt(databases, wait_s=options.wait, say=say)
    if options.command == "maintain":
        from mlflow_backend_server.db import maintain, removal

        choice = removal.Choice(days=options.days, at_once=options.at_once, dry_run=options.dry_run)
        return maintain.maintain(databases, choice, wait_s=options.wait, say=say)
    if options.command == "drop":
        return _drop(databases, options.name)
    return _dumps(options, databases)


def _read(command: str, databases: Databases) -> dict[str, Any]:
    """Run one of the commands that only read the databases."""
    if command == "roots":
        from mlflow_backend_server.db import roots

        return roots.roots(databases)
    from mlflow_backend_server.db import status

    report = (status.check if command == "check" else status.status)(databases)
    _tell(report)
    return report


def _dumps(options: argparse.Namespace, databases: Databases) -> dict[str, Any]:
    """Run one of the commands that have to do with dumps."""
    if options.command == "dump":
        from mlflow_backend_server.db import dump

        return dump.dump(databases, options.to, say=say)
    if options.command == "losses":
        from mlflow_backend_server.db import losses

        return losses.losses(databases, options.source)
    if options.command == "undo":
        from mlflow_backend_server.db import undo

        return undo.undo(databases, wait_s=options.wait, say=say)
    from mlflow_backend_server.db import restore

    return restore.restore(databases, options.source, wait_s=options.wait, say=say)


def _drop(databases: Databases, name: str) -> dict[str, Any]:
    matching = [address for _, address in databases.items() if kept.is_kept(name, address.name)]
    address = matching[0] if matching else databases.tracking
    with connected(address, purpose="drop") as connection, tool_errors(f"Dropping '{name}'"):
        kept.drop_kept(connection, name, address.name)
    return {"dropped": name, "exit_code": int(ExitCode.DONE)}


def _tell(report: dict[str, Any]) -> None:
    for name, entry in report["databases"].items():
        say(f"{name} '{entry['database']}': {entry['direction']}. {entry['reason']}")
        for pending in entry["pending"]:
            say(f"  {pending['revision']} {pending['class']}: {pending['title']}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m mlflow_backend_server.db",
        description="Read, upgrade, dump and restore the databases of an MLflow backend.",
        epilog="Exit codes: 0 done, 1 failed, 2 usage, 10 database ahead of this MLflow, 11 unsupported database, "
        "12 unreachable, 13 not at the head, 14 revision unknown, 15 worth retrying, 16 locked by another writer.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("status", help="where each database stands and what is pending")
    commands.add_parser("check", help="fail unless every database is at the head of this MLflow")
    commands.add_parser("roots", help="in which bucket or at which host artifacts are, counted; changes nothing")
    upgrade = commands.add_parser("upgrade", help="bring every database to the head of this MLflow")
    dump = commands.add_parser("dump", help="stream every database into an object store")
    default = os.environ.get(DUMPS_VARIABLE)
    dump.add_argument("--to", default=default, required=default is None, help=f"s3://bucket/prefix (${DUMPS_VARIABLE})")
    restore = commands.add_parser("restore", help="replace every database by a dump, keeping the old ones")
    restore.add_argument("--from", dest="source", required=True, help="the address of a dump, as its manifest says it")
    losses = commands.add_parser("losses", help="count what restoring a dump would lose; changes nothing")
    losses.add_argument("--from", dest="source", required=True, help="the address of a dump, as its manifest says it")
    undo = commands.add_parser("undo", help="put back the databases that the last restore replaced")
    drop = commands.add_parser("drop", help="drop a database that a restore kept")
    drop.add_argument("name", help="as status lists it under kept_databases")
    reencrypt = commands.add_parser("reencrypt", help="put webhooks' and gateway secrets under the keys in force")
    maintain = commands.add_parser("maintain", help="remove what was deleted long ago, vacuum, and say sizes")
    maintain.add_argument("--days", type=float, required=True, help="since when it is marked as deleted")
    maintain.add_argument(
        "--at-once", required=True, metavar="PREFIX", help="deleted experiments of such names are removed whenever"
    )
    maintain.add_argument("--dry-run", action="store_true", help="remove nothing, and do not vacuum")
    for waiting in (upgrade, restore, undo, reencrypt, maintain):
        waiting.add_argument(
            "--wait",
            type=float,
            default=DEFAULT_WAIT_S,
            metavar="SECONDS",
            help="for another writer (default %(default)s)",
        )
    return parser
