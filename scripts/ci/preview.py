"""Preview one stack for a pull request: the report goes to the run's summary and into the one comment on that stack.

Exit codes: those of scripts/preview.py, but 0 if it says 6, because pull requests change things; 4 also
if the comment cannot be written.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_backend.contract import ExitCode
from scripts.ci import comment, runner

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT = Path(__file__).resolve().parents[2]
DEADLINE_S = 1200
PREVIEW = (sys.executable, "-m", "scripts.preview")

HEADINGS = {int(ExitCode.USAGE): "the settings are wrong", int(ExitCode.REFUSED): "refused"}
"""How a preview ended that wrote no report, by its exit code."""


def main(
    arguments: list[str] | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
    command: tuple[str, ...] = PREVIEW,
) -> int:
    """Run the command; `command` is what makes the preview."""
    parser = argparse.ArgumentParser(prog="scripts/ci/preview.py", description=__doc__)
    parser.add_argument("--stack", required=True, help="the stack: Pulumi.<stack>.yaml holds its settings")
    options = parser.parse_args(arguments)
    try:
        pulumi = runner.pulumi_environment(environment)
    except runner.MissingStateError as error:
        print(f"preview: {error}", file=sys.stderr)
        return ExitCode.USAGE
    # The token that writes the comment is none of the program's business.
    pulumi.pop("GITHUB_TOKEN", None)
    with tempfile.TemporaryDirectory(prefix="mlflow-backend-") as folder:
        written = Path(folder, "report.md")
        argv = (*command, "--stack", options.stack, "--detailed-exit-code", "--markdown", str(written))
        code = runner.run(argv, cwd=ROOT, environment=pulumi, deadline_s=DEADLINE_S)
        markdown = written.read_text(encoding="utf-8") if written.exists() else ""
    whole = markdown or _without_report(options.stack, code, environment)
    runner.summary(whole, environment)
    if not _tell(options.stack, whole, environment):
        return code if code not in {ExitCode.DONE, ExitCode.CHANGES} else ExitCode.PLATFORM_FAILED
    return ExitCode.DONE if code == ExitCode.CHANGES else code


def _without_report(stack: str, code: int, environment: Mapping[str, str]) -> str:
    """Return what is said if the preview ended before it could report: an old comment must not stand for it."""
    run = "{GITHUB_SERVER_URL}/{GITHUB_REPOSITORY}/actions/runs/{GITHUB_RUN_ID}"
    try:
        log = f"[the log]({run.format_map(environment)})"
    except KeyError:
        log = "the log"
    heading = HEADINGS.get(code, "the preview failed")
    return f"## Preview of `{stack}`: {heading}\n\nThere is no report; {log} says why."


def _tell(stack: str, markdown: str, environment: Mapping[str, str]) -> bool:
    """Write the comment; False if there is one to write and it cannot be written."""
    number = environment.get("PULL_REQUEST")
    if not number:
        return True
    try:
        pull = comment.PullRequest(
            api=environment["GITHUB_API_URL"],
            repository=environment["GITHUB_REPOSITORY"],
            number=int(number),
            token=environment["GITHUB_TOKEN"],
        )
        print(comment.upsert(pull, stack, markdown))
    except KeyError as error:
        print(f"preview: {error.args[0]} is not set, so no comment can be written", file=sys.stderr)
        return False
    except comment.GitHubError as error:
        print(f"preview: the comment cannot be written: {error}", file=sys.stderr)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main())
