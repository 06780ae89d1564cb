"""Run the real `pulumi preview` of one stack; a stack that would be refused is refused before Pulumi is started.

Exit codes: 0 previewed; 2 usage or settings; 3 refused, nothing was touched; 4 Pulumi failed.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from components import ending
from components.contract import ExitCode, Refused, refuse_unbuilt
from components.settings import SettingsError, YamlSource, load

ROOT = Path(__file__).resolve().parents[1]
DEADLINE_S = 600
INTERRUPT_S = 30


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns an exit code of `contract.ExitCode`."""
    parser = argparse.ArgumentParser(prog="scripts/preview.py", description=__doc__)
    parser.add_argument("--stack", required=True, help="the stack: Pulumi.<stack>.yaml holds its settings")
    options = parser.parse_args(arguments)
    try:
        refuse_early(ROOT / f"Pulumi.{options.stack}.yaml")
    except (SettingsError, Refused) as error:
        print(error, file=sys.stderr)
        return error.exit_code
    return preview(options.stack)


def refuse_early(stack_file: Path) -> None:
    """Raise SettingsError or Refused for what the stack's file alone tells.

    Where an entry is encrypted, only the program can read the settings, and it judges them the same way.
    """
    source = YamlSource.read(stack_file)
    if not source.unreadable:
        refuse_unbuilt(load(source).target)


def preview(stack: str) -> int:
    """Run `pulumi preview`, its output going where ours goes; returns an exit code of `contract.ExitCode`."""
    with tempfile.TemporaryDirectory(prefix="mlflow-backend-") as folder:
        note = Path(folder) / "ending.json"
        command = ("pulumi", "preview", "--stack", stack, "--non-interactive")
        try:
            process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, ending.VARIABLE: str(note)})
        except FileNotFoundError:
            print("pulumi is not on PATH. Run `make preview STACK=...`, which brings it.", file=sys.stderr)
            return ExitCode.PLATFORM_FAILED
        code = _wait(process)
        decided = ending.read(note)
    if decided is not None:
        print(decided.sentence, file=sys.stderr)
        return decided.exit_code
    return ExitCode.DONE if code == 0 else ExitCode.PLATFORM_FAILED


def _wait(process: subprocess.Popen[bytes]) -> int:
    """Wait for Pulumi, which is interrupted at the deadline and killed only when it does not mind that.

    Killed at once, the engine would leave its plugins running and its state locked.
    """
    try:
        return process.wait(timeout=DEADLINE_S)
    except subprocess.TimeoutExpired:
        print(f"`pulumi preview` had not ended after {DEADLINE_S} s and is interrupted.", file=sys.stderr)
        process.send_signal(signal.SIGINT)
    except KeyboardInterrupt:
        # The terminal has interrupted Pulumi already.
        pass
    try:
        return process.wait(timeout=INTERRUPT_S)
    except subprocess.TimeoutExpired:
        process.kill()
        return process.wait()


if __name__ == "__main__":
    sys.exit(main())
