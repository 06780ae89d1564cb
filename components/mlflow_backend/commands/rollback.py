"""Roll a stack back to an earlier release, or lift the pin that an earlier rollback set.

It reads, plans and prints the plan; then it acts, unless --dry-run. A rollback that was interrupted is finished first.
Exit codes: 0 done and verified; 1 verification failed; 2 usage; 3 refused, nothing was touched; 4 the platform failed;
5 done, and the verification was inconclusive.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow_backend.commands import stacks
from mlflow_backend.commands.command import offered_to, platform_errors, refused_file
from mlflow_backend.contract import ExitCode, Refused
from mlflow_backend.locator import at
from mlflow_backend.releases import run, text
from mlflow_backend.releases.journal import refuse_unfinished
from mlflow_backend.releases.plan import Plan, Request, plan

if TYPE_CHECKING:
    from mlflow_backend.commands.stacks import Stack
    from mlflow_backend.releases.run import RollbackResult


def parser() -> argparse.ArgumentParser:
    """Return the command line."""
    program = "python -m scripts.rollback"
    line = argparse.ArgumentParser(prog=program, description="Roll a stack back to an earlier release.")
    line.add_argument("--stack", help="the stack that is rolled back")
    line.add_argument("--locator", metavar="ADDRESS", help=stacks.LOCATOR_HELP)
    line.add_argument("--to", metavar="REV", help="revision to go back to (default: the newest one that is SAFE)")
    line.add_argument("--to-version", metavar="V", help="go back to the newest verified release of this MLflow version")
    line.add_argument("--dry-run", action="store_true", help="print the plan and write nothing")
    line.add_argument("--restore", action="store_true", help="restore the dump of the target's schema if it needs it")
    line.add_argument("--no-verify", action="store_true", help="do not verify the target before it is pinned")
    line.add_argument("--force", action="store_true", help="stop a deployment in progress first")
    line.add_argument("--unpin", action="store_true", help="lift the pin and every block, and do nothing else")
    line.add_argument(
        "--drop-kept", action="store_true", help="drop the databases that restores replaced, and do nothing else"
    )
    line.add_argument("--reason", default="", help="why, for the ledger and for later updates")
    line.add_argument("--yes", action="store_true", help="do not ask")
    line.add_argument("--json", action="store_true", help="print plan and result as JSON")
    other = line.add_argument_group("instead of --stack, an ECS service that this project does not manage")
    other.add_argument("--cluster", help="its cluster")
    other.add_argument("--service", help="its name")
    other.add_argument("--region", default=os.environ.get("AWS_REGION"), help="its region (default: $AWS_REGION)")
    other.add_argument("--live-head", metavar="REV", help="the schema head that its database is at, if no task can ask")
    other.add_argument("--url", help="how its users call it, for the verification")
    return line


def main(arguments: list[str] | None = None, *, root: Path | None = None) -> ExitCode:
    """Run the command."""
    root = root or Path.cwd()
    options = _options(arguments)
    try:
        stack = stacks.Stack(options.stack, root) if options.stack else None
        if options.service:
            target: Any = _unmanaged(options, root)
        else:
            target = stacks.deployed(stack.locator() if stack else at(options.locator))
        if options.dry_run:
            refuse_unfinished(target.store)
            return _show(options, _planned(options, target))
        with target.rollback_lock():
            return _act(options, target, stack)
    except Refused as refusal:
        return _give_up(options, refusal.exit_code, str(refusal))
    except platform_errors() as failure:
        return _give_up(options, ExitCode.PLATFORM_FAILED, str(failure))
    except OSError as error:
        return _give_up(options, ExitCode.PLATFORM_FAILED, refused_file(error))
    except KeyboardInterrupt:
        _say("interrupted: run it again, and it finishes what it began")
        return ExitCode.PLATFORM_FAILED


def _act(options: argparse.Namespace, target: Any, stack: Stack | None) -> ExitCode:
    """Do what was asked for, alone."""
    if options.unpin:
        return _unpin(options, target)
    if options.drop_kept:
        return _drop_kept(options, target)
    if ended := run.resume(target, to=options.to, say=_say):
        return _tell(options, ended)
    refuse_unfinished(target.store, locked=True)
    made = _planned(options, target)
    _show(options, made)
    if not options.yes:
        _ask()
    profile, deadline_s = _verification(stack)
    chosen = run.RollbackOptions(reason=options.reason, profile=profile, deadline_s=deadline_s)
    return _tell(options, run.begin(target, made, chosen, say=_say))


def _options(arguments: list[str] | None) -> argparse.Namespace:
    """Return the command line's options; argparse ends with 2 for a combination that means nothing."""
    line = parser()
    options = line.parse_args(arguments)
    if not options.service:
        if options.cluster or options.live_head or options.url:
            line.error("--cluster, --live-head and --url go with --service")
        if bool(options.stack) == bool(options.locator):
            line.error("give --stack, or --locator, or --cluster, --service and --region")
        return options
    if options.stack or options.locator or not options.cluster or not options.region:
        line.error("--service goes with --cluster and --region, and without --stack and --locator")
    if not options.to:
        line.error("--to is needed: there is no ledger that could say what was verified")
    if options.unpin or options.restore or options.to_version or options.drop_kept:
        line.error("--unpin, --restore, --to-version and --drop-kept need a ledger, which a service of others lacks")
    if not options.url and not options.no_verify:
        line.error("give --url, by which it is verified, or --no-verify")
    return options


def _unmanaged(options: argparse.Namespace, root: Path) -> Any:
    from mlflow_backend.aws.clients import connect  # noqa: PLC0415 - AWS only if it is asked
    from mlflow_backend.aws.connection import Connection  # noqa: PLC0415
    from mlflow_backend.ecs.history import ServiceName  # noqa: PLC0415
    from mlflow_backend.ecs.unmanaged import open_service  # noqa: PLC0415

    return open_service(
        ServiceName(region=options.region, cluster=options.cluster, service=options.service),
        clients=connect(Connection(options.region)),
        folder=root / ".backend" / "unmanaged",
        url=options.url,
        live_head=options.live_head,
        say=_say,
    )


def _planned(options: argparse.Namespace, target: Any) -> Plan:
    request = Request(
        to=options.to,
        to_version=options.to_version,
        restore=options.restore,
        force=options.force,
        verify=not options.no_verify,
        record=not options.service,
    )
    made = plan(target.rollback_context(), request)
    return made if made.dump is None else replace(made, losses=target.losses(made.dump))


def _show(options: argparse.Namespace, made: Plan) -> ExitCode:
    """Print the plan: as JSON it is the result of a dry run only, so that one run prints one document."""
    if options.json:
        if options.dry_run:
            print(json.dumps(text.plan_document(made), indent=2))
    else:
        print("\n".join(text.plan_lines(made)))
    return ExitCode.DONE


def _tell(options: argparse.Namespace, ended: RollbackResult) -> ExitCode:
    if options.json:
        document = {"exitCode": int(ended.exit_code), "result": ended.sentence, "serving": ended.serving}
        print(json.dumps({**document, "verification": ended.table.splitlines()}, indent=2))
    else:
        print("\n".join(part for part in (ended.table, ended.sentence) if part))
    return ended.exit_code


def _give_up(options: argparse.Namespace, code: ExitCode, why: str) -> ExitCode:
    """Say why nothing was done, or how far it came: a program that asked for JSON gets that too."""
    sentence = offered_to(why, options)
    _say(sentence)
    if options.json:
        print(json.dumps({"exitCode": int(code), "result": sentence}, indent=2))
    return code


def _unpin(options: argparse.Namespace, target: Any) -> ExitCode:
    state = target.ledger.state()
    if state.pin is None and not state.blocks:
        raise Refused(
            "Nothing is pinned and nothing is blocked.", code="nothing-to-lift", fix="Nothing has to be lifted."
        )
    target.ledger.add_unpin(options.reason)
    return _said(
        options,
        "The pin and every block are lifted: the next `pulumi up` serves the release of the settings.",
    )


def _drop_kept(options: argparse.Namespace, target: Any) -> ExitCode:
    """Drop what the way back from an unfinished rollback would need only if none is unfinished; also from a restore."""
    refuse_unfinished(target.store, locked=True)
    if not options.yes:
        print("This drops for good what was written between the dumps that were restored and their restores.")
        _ask()
    dropped = ", ".join(target.drop_kept())
    return _said(options, f"Dropped: {dropped}." if dropped else "No restore has left a database.")


def _said(options: argparse.Namespace, sentence: str) -> ExitCode:
    print(json.dumps({"exitCode": int(ExitCode.DONE), "result": sentence}, indent=2) if options.json else sentence)
    return ExitCode.DONE


def _ask() -> None:
    """Ask the person at the terminal. Raises Refused for anything but yes, and if there is nobody to ask."""
    if not sys.stdin.isatty():
        raise Refused("Nobody can be asked here, so nothing was touched.", code="nobody-to-ask", fix="Add --yes.")
    if input("Do it? [y/N] ").strip().lower() not in {"y", "yes"}:
        raise Refused(
            "Not agreed to, so nothing was touched.",
            code="not-agreed",
            fix="Choose another target with --to, or leave it.",
        )


def _verification(stack: Stack | None) -> tuple[str, float]:
    """Return profile and deadline of the stack's verification; the defaults if it has no file that can be read."""
    with contextlib.suppress(Refused):
        if stack is not None:
            return stack.settings.verify.profile, float(stack.settings.verify.deadline)
    return "core", 180.0


def _say(message: str) -> None:
    print(f"rollback: {message}", file=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
