"""Roll one stack back from a workflow: the plan, or the rollback itself, shown on the run's page and kept as JSON.

Exit codes: those of scripts/rollback.py.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_backend.contract import ExitCode
from scripts.ci import runner

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 3600
ROLLBACK = (sys.executable, "-m", "scripts.rollback")
REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/-]*")


def main(
    arguments: list[str] | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
    command: tuple[str, ...] = ROLLBACK,
) -> int:
    """Run the command; `command` is what plans and rolls back."""
    parser = argparse.ArgumentParser(prog="scripts/ci/rollback.py", description=__doc__)
    parser.add_argument("--stack", required=True, help="the stack that is rolled back")
    parser.add_argument("--to", default="", metavar="REV", help="revision (default: the newest one that is SAFE)")
    parser.add_argument("--reason", required=True, help="why, for the ledger and for later updates")
    parser.add_argument("--dry-run", action="store_true", help="print the plan and write nothing")
    parser.add_argument("--into", required=True, type=Path, metavar="FOLDER", help="where the document goes")
    options = parser.parse_args(arguments)
    problem = _problem(options)
    try:
        pulumi = runner.pulumi_environment(environment)
    except runner.MissingStateError as error:
        problem = problem or str(error)
    if problem:
        print(f"rollback: {problem}", file=sys.stderr)
        return ExitCode.USAGE
    # Joined with `=`, so that what somebody typed into the form is never taken for an option.
    argv = [*command, f"--stack={options.stack}", f"--reason={options.reason}", "--json"]
    argv += [f"--to={options.to}"] if options.to else []
    argv += ["--dry-run"] if options.dry_run else ["--yes"]
    ended = subprocess.run(
        argv, cwd=ROOT, env=pulumi, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, timeout=DEADLINE_S, check=False
    )
    said = ended.stdout.decode(errors="replace")
    print(said, end="")
    options.into.mkdir(parents=True, exist_ok=True)
    name = "plan.json" if options.dry_run else "rollback.json"
    (options.into / name).write_text(said or "null\n", encoding="utf-8")
    runner.summary(_markdown(options, ended.returncode, said), environment)
    return ended.returncode


def _problem(options: argparse.Namespace) -> str:
    if not options.reason.strip():
        return "a reason is required: the ledger keeps it, and later updates that withhold the release show it"
    if options.to and not REVISION.fullmatch(options.to):
        return "that is no revision; `make releases` lists them"
    return ""


def _markdown(options: argparse.Namespace, code: int, said: str) -> str:
    what = "Plan of a rollback" if options.dry_run else "Rollback"
    name = ExitCode(code).name.lower().replace("_", " ") if code in set(ExitCode) else f"exit code {code}"
    try:
        shown = json.dumps(json.loads(said), indent=2)
    except ValueError:
        shown = said.strip() or "It printed nothing; the log says why."
    return f"## {what} of `{options.stack}`: {name}\n\n```json\n{shown}\n```"


if __name__ == "__main__":
    sys.exit(main())
