"""Mutation testing of the modules that decide about rollbacks: `make mutation`.

mutmut changes one thing at a time in a copy of the tree and runs the tests that belong to the module. A change that no
test notices has survived: it is killed by a new test, or explained in tests/mutants.toml. This ends with 1 for a
survivor that is not explained, and for an explanation that no survivor needs any more.
"""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tools.lint import tracked

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

ROOT = Path(__file__).resolve().parents[1]
EXPLAINED = Path("tests", "mutants.toml")
RUN_DEADLINE_S = 3600
SHOW_DEADLINE_S = 60

_RUNS = (
    "tests/components/releases/test_run_records.py",
    "tests/components/releases/test_run_sentences.py",
    "tests/components/releases/test_run.py",
)
MODULES = {
    "components/mlflow_backend/schema.py": (
        "tests/components/test_schema_sentences.py",
        "tests/components/test_schema.py",
    ),
    "components/mlflow_backend/releases/plan.py": (
        "tests/components/releases/test_plan_sentences.py",
        "tests/components/releases/test_plan.py",
    ),
    "components/mlflow_backend/releases/run.py": _RUNS,
    "components/mlflow_backend/releases/steps.py": _RUNS,
}
"""Each module, and the tests that have to notice every change of it: the quick ones first."""

KILLED = frozenset({"killed", "timeout", "caught by type check"})
CONFIGURATION = """
[tool.mutmut]
source_paths = ["src"]
only_mutate = [{module}]
also_copy = ["schema", "server", "scripts", "docs", "tools"]
pytest_add_cli_args = ["-p", "no:xdist", "-p", "no:cacheprovider"]
pytest_add_cli_args_test_selection = [{tests}]
use_git_change_detection = false
"""


@dataclass(frozen=True, kw_only=True, order=True)
class Mutant:
    """A change that no test noticed: where, and which line became which; both without their indentation."""

    module: str
    function: str
    was: str
    became: str


def explained(document: str) -> dict[Mutant, str]:
    """Return the mutants that tests/mutants.toml explains, with the reason of each."""
    return {
        Mutant(module=entry["module"], function=entry["function"], was=entry["was"], became=entry["became"]): str(
            entry["reason"]
        )
        for entry in tomllib.loads(document).get("mutant", [])
    }


def parse_results(text: str) -> dict[str, str]:
    """Return the status of each mutant that `mutmut results --all true` lists."""
    found = (line.strip().rsplit(": ", 1) for line in text.splitlines() if "__mutmut_" in line)
    return dict(found)


def parse_shown(module: str, name: str, shown: str) -> Mutant:
    """Return the mutant that `mutmut show` printed as a diff."""
    function = re.sub(r"__mutmut_\d+$", "", name.rsplit(".", 1)[1])
    # mutmut names a method xǁClassǁmethod and a function x_function.
    function = ".".join(part for part in function.split("ǁ")[1:]) or function.removeprefix("x_")
    lines = shown.splitlines()
    was = [line[1:].strip() for line in lines if line.startswith("-") and not line.startswith("---")]
    became = [line[1:].strip() for line in lines if line.startswith("+") and not line.startswith("+++")]
    return Mutant(module=module, function=function, was=" ".join(was), became=" ".join(became))


def survivors(module: str, tests: Sequence[str], scratch: Path, children: int) -> tuple[list[Mutant], int]:
    """Mutate one module in the copy of the tree; what survived, and how many mutants there were."""
    shutil.rmtree(scratch / "mutants", ignore_errors=True)
    configured = (ROOT / "pyproject.toml").read_text()
    quoted = ", ".join(f'"{name}"' for name in tests)
    (scratch / "pyproject.toml").write_text(
        configured + CONFIGURATION.format(module=f'"{_copied(module)}"', tests=quoted)
    )
    mutmut = str(Path(sys.executable).with_name("mutmut"))
    with (scratch / "mutmut.log").open("w") as log:
        command = (mutmut, "run", "--max-children", str(children))
        ended = subprocess.run(
            command, cwd=scratch, stdout=log, stderr=subprocess.STDOUT, timeout=RUN_DEADLINE_S, check=False
        )
    statuses = parse_results(_output((mutmut, "results", "--all", "true"), scratch))
    mine = {name: status for name, status in statuses.items() if name.startswith(_dotted(module))}
    if not mine or "not checked" in mine.values():
        tail = (scratch / "mutmut.log").read_text(errors="replace")[-2000:]
        raise SystemExit(f"mutmut did not finish {module} (exit code {ended.returncode}):\n{tail}")
    alive = [name for name, status in mine.items() if status not in KILLED]
    return [parse_shown(module, name, _output((mutmut, "show", name), scratch)) for name in alive], len(mine)


def _copied(path: str) -> str:
    """Return where a file of the tree is in the copy: mutmut finds a package's modules by their names in `src` only."""
    return path.replace("components/", "src/", 1) if path.startswith("components/") else path


def _dotted(module: str) -> str:
    return module.removeprefix("components/").removesuffix(".py").replace("/", ".") + "."


def _output(command: Sequence[str], cwd: Path) -> str:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=SHOW_DEADLINE_S, check=True).stdout


def report(found: Iterable[Mutant], reasons: dict[Mutant, str]) -> int:
    """Print what has to be done; 0 where that is nothing."""
    alive = set(found)
    for mutant in sorted(alive - set(reasons)):
        print(f"SURVIVED {mutant.module} {mutant.function}\n  - {mutant.was}\n  + {mutant.became}")
    for mutant in sorted(set(reasons) - alive):
        print(f"NEEDLESS in {EXPLAINED}: {mutant.module} {mutant.function}\n  - {mutant.was}\n  + {mutant.became}")
    return 0 if alive == set(reasons) else 1


def main(arguments: Sequence[str]) -> int:
    """Run the command."""
    parser = argparse.ArgumentParser(prog="tools.mutation", description=__doc__)
    parser.add_argument("modules", nargs="*", help=f"of {', '.join(MODULES)} (default: all)")
    parser.add_argument("--children", type=int, default=os.cpu_count() or 1, help="processes (default: one a core)")
    options = parser.parse_args(arguments)
    if unknown := sorted(set(options.modules) - set(MODULES)):
        parser.error(f"nothing says which tests belong to {unknown[0]}")
    chosen = options.modules or list(MODULES)
    found: list[Mutant] = []
    with tempfile.TemporaryDirectory(prefix="mlflow-backend-mutation-") as folder:
        for path in tracked(ROOT):
            target = Path(folder, _copied(str(path)))
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / path, target)
        for module in chosen:
            alive, count = survivors(module, MODULES[module], Path(folder), options.children)
            print(f"{module}: {count} mutants, {count - len(alive)} killed, {len(alive)} survived", flush=True)
            found += alive
    reasons = {m: reason for m, reason in explained((ROOT / EXPLAINED).read_text()).items() if m.module in chosen}
    return report(found, reasons)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
