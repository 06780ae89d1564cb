"""Runs every linter over the tree: `make lint`; one alone: `python -m tools.lint ruff`.

This table is the only place that says which linters there are and how they are called. The hooks of pre-commit and the
workflow call it. Every linter runs without a network once it is installed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tools.bootstrap import files, linters
from tools.bootstrap.layout import find_layout
from tools.bootstrap.steps import StepFailedError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

DEADLINE_S = 600
"""Seconds for one linter; mypy without its cache is the slowest, with about a minute on two busy cores."""


@dataclass(frozen=True, kw_only=True)
class Linter:
    """One linter: how it is called, and on what."""

    name: str
    argv: tuple[str, ...]
    """The first word is the program's name, found beside this Python or among the linters that are built."""
    takes: Callable[[Path], bool] | None = None
    """Which files it is given; None for one that finds its files by its own configuration."""


def is_shell(path: Path) -> bool:
    """Whether the file is a shell script, by its name or its first line."""
    if path.suffix == ".sh":
        return True
    if path.suffix:
        return False
    with path.open("rb") as file:
        first = file.readline(80)
    return first.startswith(b"#!") and first.rstrip().endswith(b"sh")


def is_workflow(path: Path) -> bool:
    """Whether the file is a workflow of GitHub Actions."""
    return path.suffix in {".yml", ".yaml"} and path.parent.parts[-2:] == (".github", "workflows")


def is_dockerfile(path: Path) -> bool:
    """Whether the file is a recipe of a container image."""
    return path.name == "Dockerfile" or path.suffix == ".Dockerfile"


def is_for_zizmor(path: Path) -> bool:
    """Whether zizmor audits the file: workflows, and the settings of Dependabot."""
    return is_workflow(path) or path.parts[-2:] == (".github", "dependabot.yml")


LINTERS = (
    Linter(name="ruff", argv=("ruff", "check", "--quiet")),
    Linter(name="format", argv=("ruff", "format", "--quiet", "--check")),
    Linter(name="mypy", argv=("mypy", "--no-error-summary")),
    # The layers of the package, as pyproject.toml states them.
    Linter(name="imports", argv=("lint-imports", "--no-cache")),
    Linter(name="actionlint", argv=("actionlint", "-shellcheck=shellcheck", "-pyflakes="), takes=is_workflow),
    Linter(name="zizmor", argv=("zizmor", "--offline", "--no-progress", "--quiet"), takes=is_for_zizmor),
    Linter(name="hadolint", argv=("hadolint",), takes=is_dockerfile),
    Linter(name="shellcheck", argv=("shellcheck",), takes=is_shell),
    # It gets a folder that holds exactly the files that git would commit: it knows no .gitignore.
    Linter(name="secrets", argv=("gitleaks", "dir", "--no-banner", "--no-color", "--redact", "--verbose")),
)


def tracked(root: Path) -> tuple[Path, ...]:
    """The files that git has, or would take, relative to `root`."""
    command = ("git", "ls-files", "-z", "--cached", "--others", "--exclude-standard")
    listed = subprocess.run(command, cwd=root, capture_output=True, check=True, timeout=60).stdout.decode()
    names = sorted(set(filter(None, listed.split("\0"))))
    # A file that is deleted and not committed is listed still.
    return tuple(Path(name) for name in names if (root / name).is_file())


def run_linter(linter: Linter, root: Path, paths: Sequence[Path], environment: Mapping[str, str]) -> tuple[int, str]:
    """Run one linter; its exit code and what it printed. With nothing to look at it is not started: 0."""
    with tempfile.TemporaryDirectory(prefix="mlflow-backend-lint-") as scratch:
        arguments: tuple[str, ...] = ()
        if linter.name == "secrets":
            for path in paths:
                target = Path(scratch, path)
                target.parent.mkdir(parents=True, exist_ok=True)
                files.place(root / path, target)
            arguments = (f"--config={root / '.gitleaks.toml'}", scratch)
        elif linter.takes is not None:
            arguments = tuple(str(path) for path in paths if linter.takes(root / path))
            if not arguments:
                return 0, ""
        ended = subprocess.run(
            (*linter.argv, *arguments),
            cwd=root,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=DEADLINE_S,
            check=False,
        )
        return ended.returncode, ended.stdout.replace(f"{scratch}/", "")


def main(arguments: Sequence[str]) -> int:
    """Run the linters that are asked for, all when none is; 0, 1 when one finds something, 2 when one cannot run."""
    parser = argparse.ArgumentParser(prog="tools.lint", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="linter", help=", ".join(linter.name for linter in LINTERS))
    layout = find_layout(dict(os.environ))
    parser.add_argument("--root", type=Path, default=layout.root, help="the tree to look at (default: this repository)")
    options = parser.parse_args(arguments)
    unknown = set(options.names) - {linter.name for linter in LINTERS}
    if unknown:
        parser.error(f"there is no linter {', '.join(sorted(unknown))}")
    chosen = [linter for linter in LINTERS if not options.names or linter.name in options.names]
    path = [str(Path(sys.executable).parent), os.environ.get("PATH", "")]
    try:
        if any(linter.argv[0] in linters.PACKAGES for linter in chosen):
            path.insert(0, str(linters.ensure(layout, dict(os.environ))))
    except StepFailedError as failed:
        sys.stderr.write(f"set-up failed: {failed}\n")
        return 2
    environment = {**os.environ, "PATH": os.pathsep.join(path)}
    paths = tracked(options.root)
    # Not the first red one only: a developer mends them all in one round.
    return max([_report(linter, options.root, paths, environment) for linter in chosen])


def _report(linter: Linter, root: Path, paths: Sequence[Path], environment: Mapping[str, str]) -> int:
    began = time.monotonic()
    try:
        code, said = run_linter(linter, root, paths, environment)
    except (OSError, subprocess.TimeoutExpired) as error:
        print(f"FAIL {linter.name}: it cannot be run: {error}; try `make setup-dev`")
        return 2
    verdict = "FAIL" if code else "ok  "
    print(f"{verdict} {linter.name} ({time.monotonic() - began:.1f} s)")
    if code:
        print(said.rstrip())
    return min(code, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
