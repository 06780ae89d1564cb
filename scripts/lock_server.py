"""Compile `server/requirements/<MLflow version>.txt`: the full hash lock of each server environment.

An old MLflow rebuilt from its name alone no longer starts (SQLAlchemy 2.1 removed a name that everything before 3.10.1
imports), so every version that a backend may run or be rolled back to has its own lock, and the image and the local
target install from nothing else. Owns which versions are locked and what each needs besides its own metadata; does not
install anything.

The locks leave out what `excludes.in` names, so they are installed with `--no-deps`: a lock is complete by itself.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

REQUIREMENTS = Path(__file__).resolve().parents[1] / "server" / "requirements"
#: The versions whose server was seen to start from its lock; a stack may ask for these and no others.
VERSIONS = ("2.9.2", "2.22.5", "3.1.4", "3.4.0", "3.10.1", "3.17.2")
PYTHON = "3.11"
COMPILE_DEADLINE_S = 300
HEADER = """\
# The server environment of MLflow {version}, Python {python} and newer. Made by scripts/lock_server.py; not edited.
# Complete without some of MLflow's own dependencies (excludes.in), so: uv pip install --no-deps --require-hashes
"""


@dataclass(frozen=True, kw_only=True)
class Repair:
    """A requirement that MLflow versions below `below` need and do not state themselves."""

    below: tuple[int, ...]
    requirement: str


REPAIRS = (
    # Unguarded until 3.10.1: `from sqlalchemy.pool import FallbackAsyncAdaptedQueuePool`, which SQLAlchemy 2.1 lacks.
    Repair(below=(3, 10, 1), requirement="sqlalchemy<2.1"),
    # `import pkg_resources` without a dependency on setuptools, which dropped that module in version 81.
    Repair(below=(2, 16), requirement="setuptools<81"),
)


class LockError(Exception):
    """A lock that could not be compiled, or that is not what the requirements say."""


def release(version: str) -> tuple[int, ...]:
    """The comparable form of a plain MLflow version such as `3.17.2`."""
    return tuple(int(part) for part in version.split("."))


def requirements(version: str) -> list[str]:
    """The top-level requirements of one version's environment, beyond the shared `server.in`."""
    repairs = [repair.requirement for repair in REPAIRS if release(version) < repair.below]
    return [f"mlflow=={version}", *repairs]


def compile_lock(version: str, output: Path, *, uv: str, upgrade: bool) -> None:
    """Write the lock of one version; pins already in `output` are kept unless `upgrade`.

    Raises:
        LockError: uv found no resolution, with uv's own words.
    """
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "requirements.in"
        shared = (REQUIREMENTS / "server.in").read_text()
        source.write_text("\n".join([*requirements(version), shared]))
        _compile(source, output, f"MLflow {version}", uv=uv, upgrade=upgrade)
    output.write_text(HEADER.format(version=version, python=PYTHON) + strip_header(output.read_text()))


def _compile(source: Path, output: Path, what: str, *, uv: str, upgrade: bool) -> None:
    done = subprocess.run(
        [
            *(uv, "pip", "compile", "--quiet", "--universal", "--python-version", PYTHON, "--generate-hashes"),
            *("--no-emit-index-url", "--no-emit-find-links", "--no-annotate", "--no-header"),
            *("--excludes", str(REQUIREMENTS / "excludes.in")),
            *(["--upgrade"] if upgrade else []),
            *(str(source), "--output-file", str(output)),
        ],
        capture_output=True,
        text=True,
        check=False,
        timeout=COMPILE_DEADLINE_S,
    )
    if done.returncode != 0:
        raise LockError(f"{what}: uv found no set of packages: {done.stderr.strip()}")


def compile_build_lock(*, uv: str, upgrade: bool) -> None:
    """Write `server/image/build.txt`: what builds the package inside the image."""
    folder = REQUIREMENTS.parent / "image"
    _compile(folder / "build.in", folder / "build.txt", "server/image/build.in", uv=uv, upgrade=upgrade)


def strip_header(text: str) -> str:
    """The lock without the comment lines it begins with."""
    lines = text.splitlines(keepends=True)
    start = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return "".join(lines[start:])


def check_lock(version: str, *, uv: str) -> None:
    """Raise LockError if compiling again from the pins of the committed lock gives another file."""
    committed = REQUIREMENTS / f"{version}.txt"
    with tempfile.TemporaryDirectory() as folder:
        again = Path(folder) / committed.name
        if committed.exists():
            shutil.copy(committed, again)
        compile_lock(version, again, uv=uv, upgrade=False)
        if not committed.exists() or again.read_bytes() != committed.read_bytes():
            raise LockError(f"MLflow {version}: the lock is stale; run scripts/lock_server.py {version}")


def main() -> int:
    """Compile or check the locks; 0 when done, 1 when a lock is stale or cannot be compiled."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("versions", nargs="*", default=list(VERSIONS), help="MLflow versions (default: all)")
    parser.add_argument("--uv", default=shutil.which("uv") or "uv", help="the uv to compile with")
    action = parser.add_mutually_exclusive_group()
    action.add_argument("--upgrade", action="store_true", help="take the newest of everything instead of keeping pins")
    action.add_argument("--check", action="store_true", help="write nothing; fail when a lock is stale")
    options = parser.parse_args()
    try:
        for version in options.versions:
            if options.check:
                check_lock(version, uv=options.uv)
            else:
                compile_lock(version, REQUIREMENTS / f"{version}.txt", uv=options.uv, upgrade=options.upgrade)
            print(f"MLflow {version}: {'current' if options.check else 'locked'}", file=sys.stderr)
        if not options.check:
            compile_build_lock(uv=options.uv, upgrade=options.upgrade)
    except LockError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
