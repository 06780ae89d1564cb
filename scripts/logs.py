"""Show the last lines that each process of a local stack wrote, without secrets.

Exit codes: 0 shown; 2 usage; 3 the stack has no local backend.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from components.contract import ExitCode
from components.local.state import StateDir
from components.local.supervisor import Supervisor

ROOT = Path(__file__).resolve().parents[1]


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns an exit code of `contract.ExitCode`."""
    parser = argparse.ArgumentParser(prog="scripts/logs.py", description=__doc__)
    parser.add_argument("--stack", default="local", help="the stack (default: local)")
    parser.add_argument("--lines", type=int, default=15, help="lines of each process (default: 15)")
    parser.add_argument("part", nargs="*", help="programs to show, such as database or server-00001 (default: all)")
    options = parser.parse_args(arguments)
    state = StateDir(ROOT / ".backend" / options.stack)
    if not state.logs.exists():
        print(f"Stack {options.stack} has no local backend here. Run `make up STACK={options.stack}`.", file=sys.stderr)
        return ExitCode.REFUSED
    supervisor = Supervisor(state)
    for name in options.part or sorted(path.stem for path in state.logs.glob("*.log")):
        print(f"{name} ({state.logs / f'{name}.log'})\n{supervisor.tail(name, lines=options.lines)}")
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main())
