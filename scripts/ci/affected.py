"""The stacks that a change concerns, printed and given to the workflow as the output `stacks`.

A file that is not known to be harmless concerns every stack: a stack previewed in vain costs minutes, a stack that is
not previewed costs an outage. Stacks of the target local are left out: their state is on somebody's machine.
Exit codes: 0 printed; 2 usage; 4 git failed.
"""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from mlflow_backend import targets as registry
from mlflow_backend.contract import ExitCode
from scripts.ci import runner

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ROOT = Path(__file__).resolve().parents[2]
GIT_DEADLINE_S = 60

NO_COMMIT = "0" * 40
"""What GitHub names as the commit before the first one of a branch."""
TARGET = re.compile(r"""^\s+mlflow-backend:target:\s*["']?(\w+)""", re.MULTILINE)

HARMLESS_FOLDERS = ("docs", "tests", "benchmarks", ".github", ".ci", "schema", "tools/linters")
"""What neither the program nor its preview reads."""
HARMLESS_FILES = frozenset(
    {
        *("Makefile", ".gitignore", ".gitleaks.toml", ".pre-commit-config.yaml", "LICENSE"),
        *("requirements/dev.txt", "tools/leaks.py", "tools/pages.py"),
    }
)


def targets(root: Path) -> dict[str, str]:
    """Return the target of each stack that has a file in `root`."""
    # Read without a YAML library: the job that decides what is previewed then needs no set-up.
    texts = {path.name.split(".")[1]: path.read_text() for path in sorted(root.glob("Pulumi.*.yaml"))}
    return {stack: match[1] if (match := TARGET.search(text)) else "" for stack, text in texts.items()}


def affected(changed: Iterable[str], stacks: Mapping[str, str]) -> list[str]:
    """Return the stacks, by name, that a change of these files concerns; `stacks` gives the target of each."""
    concerned: set[str] = set()
    for name in changed:
        concerned |= _by_file(PurePosixPath(name), stacks)
    return sorted(stack for stack in concerned if registry.shared(stacks[stack]))


def _by_file(path: PurePosixPath, stacks: Mapping[str, str]) -> set[str]:
    harmless = str(path) in HARMLESS_FILES or path.suffix == ".md"
    if harmless or any(path.is_relative_to(folder) for folder in HARMLESS_FOLDERS):
        return set()
    match path.parts:
        case [name] if name.startswith("Pulumi.") and name != "Pulumi.yaml":
            # A stack's file that was deleted concerns no stack that could be previewed.
            return {name.split(".")[1]} & set(stacks)
        case ["components", "mlflow_backend", target, *_] if target in registry.MODULES:
            return {stack for stack, its in stacks.items() if its == target}
        case _:
            return set(stacks)


def changed_files(base: str, root: Path) -> list[str]:
    """Return the files that differ between `base` and the commit at hand, renamed ones under both names."""
    command = ("git", "diff", "--name-only", "--no-renames", "-z", f"{base}...HEAD", "--")
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True, timeout=GIT_DEADLINE_S)
    return [name for name in listed.stdout.split("\0") if name]


def _is_on(target: str, platform: str) -> bool:
    """Return whether a target is on a platform; one that there is not is left to its preview, which says so."""
    return target not in registry.MODULES or platform in registry.get(target).platforms


def _affected_since(base: str, stacks: Mapping[str, str], root: Path) -> list[str]:
    changed = ["Pulumi.yaml"] if base == NO_COMMIT else changed_files(base, root)
    return affected(changed, stacks)


def main(arguments: list[str] | None = None, *, root: Path = ROOT) -> ExitCode:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="scripts/ci/affected.py", description=__doc__)
    which = parser.add_mutually_exclusive_group(required=True)
    which.add_argument("--base", help="the commit that the change is compared with; 40 zeros: everything changed")
    which.add_argument("--stack", help="this stack, whatever changed")
    parser.add_argument("--only", action="append", metavar="STACK", help="leave out every other stack")
    parser.add_argument("--platform", help="leave out every stack that a login to this platform does not reach")
    options = parser.parse_args(arguments)
    known = targets(root)
    unknown = sorted({options.stack, *(options.only or ())} - {None, *known})
    if unknown:
        print(f"affected: there is no Pulumi.{unknown[0]}.yaml; stacks: {', '.join(known)}", file=sys.stderr)
        return ExitCode.USAGE
    try:
        stacks = [options.stack] if options.stack else _affected_since(options.base, known, root)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired) as error:
        said = error.stderr if isinstance(error.stderr, str) else ""
        print(f"affected: git cannot compare with {options.base}: {said.strip() or error}", file=sys.stderr)
        return ExitCode.PLATFORM_FAILED
    stacks = [stack for stack in stacks if stack in (options.only or known)]
    if options.platform:
        stacks = [stack for stack in stacks if _is_on(known[stack], options.platform)]
    print("\n".join(stacks) or "no stack is concerned")
    runner.output("stacks", json.dumps(stacks))
    return ExitCode.DONE


if __name__ == "__main__":
    sys.exit(main())
