"""Update one stack under the policy pack: a preview first, and nothing is made if the pack refuses it.

The update itself runs under the same pack at the same levels, because some values are known only then. A stack of the
target local has nothing that a policy checks (docs/adr/0034-supply-chain.md): there it is `pulumi up` alone. The
cause of a failure is said again at the end, because Pulumi prints the outputs of the last good update below it.

Exit codes: 0 updated; 2 settings; 3 refused, nothing was made; 4 Pulumi or the platform failed.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

from mlflow_backend import targets
from mlflow_backend.commands import running
from mlflow_backend.contract import ExitCode
from scripts.ci import affected

DEADLINE_S = 5400
"""Seconds. RDS over several zones takes the longest to make."""
INTERRUPT_S = 120
"""Seconds that an interrupted engine has to end what it has begun in the cloud."""


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns an exit code of `contract.ExitCode`."""
    options = command_line().parse_args(arguments)
    command = ("pulumi", "up", "--stack", options.stack, "--yes", "--skip-preview")
    # Read without a YAML library: importing the settings would be a tenth of a local update.
    if not targets.shared(affected.targets(Path.cwd()).get(options.stack, "")):
        with tempfile.TemporaryDirectory(prefix="mlflow-backend-") as folder:
            return _update(options.stack, command, Path(folder))
    return _policed(options, command)


def command_line() -> argparse.ArgumentParser:
    """Return the command's parser."""
    parser = argparse.ArgumentParser(prog="scripts/up.py", description=__doc__)
    parser.add_argument("--stack", required=True, help="the stack: Pulumi.<stack>.yaml holds its settings")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the preview's report to FILE")
    return parser


def _policed(options: argparse.Namespace, command: tuple[str, ...]) -> int:
    from mlflow_backend.commands import policing  # noqa: PLC0415 - a local update needs neither
    from mlflow_backend.commands.preview import read_stack  # noqa: PLC0415 - nor this
    from scripts import preview  # noqa: PLC0415 - nor this

    report = ("--markdown", str(options.markdown)) if options.markdown else ()
    code = preview.main(["--stack", options.stack, *report])
    if code != ExitCode.DONE:
        return code
    settings = read_stack(Path(f"Pulumi.{options.stack}.yaml"), options.stack).settings
    with tempfile.TemporaryDirectory(prefix="mlflow-backend-") as folder:
        return _update(options.stack, (*command, *policing.options(settings.policy.levels, Path(folder))), Path(folder))


def _update(stack: str, command: tuple[str, ...], folder: Path) -> int:
    log = folder / "events"
    # The flag is one for who looks into the engine, and is known with this variable alone.
    environment = {**os.environ, "PULUMI_DEBUG_COMMANDS": "true"}
    process = running.start((*command, "--event-log", str(log)), env=environment)
    ended = running.wait(process, "`pulumi up`", deadline_s=DEADLINE_S, interrupt_s=INTERRUPT_S)
    if ended == 0:
        return ExitCode.DONE
    from mlflow_backend.report import events  # noqa: PLC0415 - an update that succeeds does not need it

    found = events.read(log.read_text(encoding="utf-8").splitlines()).errors if log.exists() else _unreadable(stack)
    reasons = [f"  {line}" for text in found for line in text.splitlines()]
    if reasons:
        print("\n".join([f"\nThe update of {stack} failed:", *reasons]), file=sys.stderr)
    return ExitCode.PLATFORM_FAILED


def _unreadable(stack: str) -> tuple[str, ...]:
    """Return what is wrong with the stack's file if no YAML is read in it: Pulumi says so, and names no file."""
    from mlflow_backend.settings import SettingsError, YamlSource  # noqa: PLC0415 - as above

    try:
        YamlSource.read(Path(f"Pulumi.{stack}.yaml"))
    except SettingsError as error:
        return (str(error),)
    return ()


if __name__ == "__main__":
    sys.exit(main())
