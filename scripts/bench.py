"""Measure the speed targets and print the table of docs/benchmarks.md.

Exit codes: 0 all limits hold; 1 one does not; 2 usage.
"""

from __future__ import annotations

import argparse
import importlib
import pkgutil
import sys

import benchmarks
from mlflow_backend.contract import ExitCode


def main(arguments: list[str] | None = None) -> int:
    """Run the command; returns an exit code of `contract.ExitCode`."""
    parser = argparse.ArgumentParser(prog="scripts/bench.py", description=__doc__)
    names = [module.name for module in pkgutil.iter_modules(benchmarks.__path__) if module.name != "row"]
    parser.add_argument("name", nargs="*", help=f"what to measure: {', '.join(names)} (default: all)")
    options = parser.parse_args(arguments)
    if unknown := set(options.name) - set(names):
        parser.error(f"unknown: {', '.join(sorted(unknown))}; there are {', '.join(names)}")
    print("| what | measured | limit | holds | figures |\n|---|---|---|---|---|", flush=True)
    good = True
    for name in options.name or names:
        for row in importlib.import_module(f"benchmarks.{name}").measure():
            print(row.markdown(), flush=True)
            good &= row.holds
    return ExitCode.DONE if good else ExitCode.VERIFICATION_FAILED


if __name__ == "__main__":
    sys.exit(main())
