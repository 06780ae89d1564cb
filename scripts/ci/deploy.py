"""Update one stack from a workflow, and keep what shows how it went: preview, outputs, verification report, status.

The update is that of `make up`: previewed under the policy pack, then made under it and verified. The folder then holds
preview.md, outputs.json (secrets masked by Pulumi), verification.json if a verification ran, and status.json; all
but the preview are written also when the update fails.
Exit codes: 0 updated and verified; 1 verification failed; 2 usage or settings; 3 refused, nothing was touched; 4 the
platform failed; 5 the verification was inconclusive.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlflow_backend import ending
from mlflow_backend.contract import ExitCode, PlatformFailed
from mlflow_backend.verify import report as reports
from mlflow_backend.verify.model import Result
from scripts.ci import runner

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.verify.report import Report

ROOT = Path(__file__).resolve().parents[2]
PULUMI = ("pulumi",)
UPDATE = (sys.executable, "-m", "scripts.up")
UPDATE_DEADLINE_S = 6600
"""Seconds: above a preview's and an update's own deadlines, which interrupt the engine; below the workflow's limit."""
OUTPUTS_DEADLINE_S = 120

NOTHING_MADE = (ExitCode.USAGE, ExitCode.REFUSED)
OF_VERDICT = {
    Result.FAIL: ExitCode.VERIFICATION_FAILED,
    Result.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
}
"""How an update that failed after its verification ends; one that failed for another reason ends with 4."""


def main(
    arguments: list[str] | None = None,
    *,
    environment: Mapping[str, str] = os.environ,
    root: Path = ROOT,
    pulumi_command: tuple[str, ...] = PULUMI,
    update_command: tuple[str, ...] = UPDATE,
) -> int:
    """Run the command; returns an exit code of `contract.ExitCode`. The commands are run in `root`."""
    parser = argparse.ArgumentParser(prog="scripts/ci/deploy.py", description=__doc__)
    parser.add_argument("--stack", required=True, help="the stack that is updated")
    parser.add_argument("--into", required=True, type=Path, metavar="FOLDER", help="where the documents go")
    options = parser.parse_args(arguments)
    try:
        pulumi = runner.pulumi_environment(environment)
    except runner.MissingStateError as error:
        print(f"deploy: {error}", file=sys.stderr)
        return ExitCode.USAGE
    options.into.mkdir(parents=True, exist_ok=True)
    began = time.time()
    preview = options.into / "preview.md"
    code, sentence = _update((*update_command, "--stack", options.stack, "--markdown", str(preview)), pulumi, root)
    report = _report(root / ".backend" / options.stack / "verification.json", began)
    if code == ExitCode.PLATFORM_FAILED and report is not None and report.verdict is not None:
        code = OF_VERDICT.get(report.verdict, code)
    outputs = _outputs(options.stack, pulumi_command, pulumi, root)
    status = _status(options.stack, code, outputs, report, environment.get("GITHUB_SHA"))
    for name, document in (("status", status), ("outputs", outputs)):
        (options.into / f"{name}.json").write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    if report is not None:
        report.save(options.into / "verification.json")
    refused = preview.read_text(encoding="utf-8") if code == ExitCode.REFUSED and preview.exists() else ""
    runner.summary(_markdown(options.stack, code, sentence, report) + f"\n\n{refused}", environment)
    return code


def _update(argv: tuple[str, ...], pulumi: Mapping[str, str], root: Path) -> tuple[ExitCode, str]:
    with tempfile.TemporaryDirectory(prefix="mlflow-backend-") as folder:
        note = Path(folder, "ending.json")
        noting = {**pulumi, ending.VARIABLE: str(note)}
        code = runner.run(argv, cwd=root, environment=noting, deadline_s=UPDATE_DEADLINE_S)
        decided = ending.read(note)
    if decided is not None:
        return decided.exit_code, decided.sentence
    # Python ends with 1 after an uncaught exception, which is no verdict of a verification.
    return (ExitCode(code) if code in {ExitCode.DONE, *NOTHING_MADE} else ExitCode.PLATFORM_FAILED), ""


def _report(path: Path, began: float) -> Report | None:
    """Return the report of this update's verification; None if none ran: an older one is no evidence."""
    if not path.exists() or path.stat().st_mtime < began:
        return None
    try:
        return reports.load(path)
    except PlatformFailed as error:
        print(f"deploy: {error}", file=sys.stderr)
        return None


def _outputs(stack: str, command: tuple[str, ...], pulumi: Mapping[str, str], root: Path) -> dict[str, Any]:
    """Return the stack's outputs with secrets masked; empty if Pulumi cannot read them."""
    argv = (*command, "stack", "output", "--json", "--stack", stack, "--non-interactive")
    try:
        answered = subprocess.run(
            argv,
            cwd=root,
            env=pulumi,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=OUTPUTS_DEADLINE_S,
            check=True,
        )
        outputs = json.loads(answered.stdout)
    except (subprocess.SubprocessError, ValueError) as error:
        print(f"deploy: the stack's outputs cannot be read: {type(error).__name__}", file=sys.stderr)
        return {}
    return outputs if isinstance(outputs, dict) else {}


def _status(
    stack: str, code: ExitCode, outputs: Mapping[str, Any], report: Report | None, commit: str | None
) -> dict[str, Any]:
    """Return what a dashboard or a chat message needs of this update."""
    return {
        "stack": stack,
        "exitCode": int(code),
        "verdict": report.verdict.value if report is not None and report.verdict is not None else None,
        "release": outputs.get("release"),
        "trackingUrl": outputs.get("trackingUrl"),
        "commit": commit,
        "finishedAt": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def _markdown(stack: str, code: ExitCode, sentence: str, report: Report | None) -> str:
    headings = {
        ExitCode.DONE: "updated and verified",
        ExitCode.VERIFICATION_FAILED: "the verification failed",
        ExitCode.USAGE: "the settings are wrong",
        ExitCode.REFUSED: "refused, nothing was touched",
        ExitCode.PLATFORM_FAILED: "the platform failed",
        ExitCode.INCONCLUSIVE: "the verification was inconclusive",
    }
    lines = [f"## Update of `{stack}`: {headings[code]}", ""]
    if sentence:
        lines += [sentence, ""]
    table = report.text() if report is not None else "No verification ran; the log says how far the update came."
    return "\n".join([*lines, "```", table, "```"])


if __name__ == "__main__":
    sys.exit(main())
