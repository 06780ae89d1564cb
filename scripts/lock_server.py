"""Compile `server/requirements/<MLflow version>.txt`: the full hash lock of each server environment.

An old MLflow rebuilt from its name alone no longer starts (SQLAlchemy 2.1 removed a name that everything before 3.10.1
imports), so every version that a backend may run or be rolled back to has its own lock, and the image and the local
target install from nothing else. Owns which versions are locked and what each needs besides its own metadata; does not
install anything.

The locks leave out what `excludes.in` names, so they are installed with `--no-deps`: a lock is complete by itself.

`client/requirements/<MLflow version>.txt` is the same for a client as teams install it, with nothing left out and with
scikit-learn: the verification by real clients runs in it.
"""

from __future__ import annotations

import argparse
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from mlflow_backend.environments import client_requirements, requirements

ROOT = Path(__file__).resolve().parents[1]
REQUIREMENTS = ROOT / "server" / "requirements"
EXCLUDES = ("--excludes", str(REQUIREMENTS / "excludes.in"))
CLIENT_REQUIREMENTS = ROOT / "client" / "requirements"
#: The versions whose server was seen to start from its lock; a stack may ask for these and no others.
VERSIONS = ("2.9.2", "2.22.5", "3.1.4", "3.4.0", "3.10.1", "3.17.2")
PYTHON = "3.11"
COMPILE_DEADLINE_S = 300
CLIENT_HEADER = """\
# A client's environment of MLflow {version}, Python {python} and newer. Made by scripts/lock_server.py; not edited.
"""
HEADER = """\
# The server environment of MLflow {version}, Python {python} and newer. Made by scripts/lock_server.py; not edited.
# Complete without some of MLflow's own dependencies (excludes.in), so: uv pip install --no-deps --require-hashes
"""


class LockError(Exception):
    """A lock that could not be compiled, or that is not what the requirements say."""


def compile_lock(version: str, output: Path, *, uv: str, upgrade: bool) -> None:
    """Write the lock of one version's server; pins already in `output` are kept unless `upgrade`.

    Raises:
        LockError: uv found no resolution, with uv's own words.
    """
    wanted = [*requirements(version), (REQUIREMENTS / "server.in").read_text()]
    _compile_from(wanted, output, f"MLflow {version}", *EXCLUDES, uv=uv, upgrade=upgrade)
    output.write_text(HEADER.format(version=version, python=PYTHON) + strip_header(output.read_text()))


def compile_client_lock(version: str, output: Path, *, uv: str, upgrade: bool) -> None:
    """Write the lock of one version's client.

    Raises:
        LockError: as `compile_lock`.
    """
    _compile_from(client_requirements(version), output, f"MLflow {version}'s client", uv=uv, upgrade=upgrade)
    output.write_text(CLIENT_HEADER.format(version=version, python=PYTHON) + strip_header(output.read_text()))


def _compile_from(wanted: list[str], output: Path, what: str, *options: str, uv: str, upgrade: bool) -> None:
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "requirements.in"
        source.write_text("\n".join(wanted))
        _compile(source, output, what, *options, uv=uv, upgrade=upgrade)


def _compile(source: Path, output: Path, what: str, *options: str, uv: str, upgrade: bool) -> None:
    done = subprocess.run(
        [
            *(uv, "pip", "compile", "--quiet", "--universal", "--python-version", PYTHON, "--generate-hashes"),
            *("--no-emit-index-url", "--no-emit-find-links", "--no-annotate", "--no-header"),
            *options,
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
    _compile(folder / "build.in", folder / "build.txt", "server/image/build.in", *EXCLUDES, uv=uv, upgrade=upgrade)


def strip_header(text: str) -> str:
    """The lock without the comment lines it begins with."""
    lines = text.splitlines(keepends=True)
    start = next((number for number, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return "".join(lines[start:])


def check_lock(version: str, *, uv: str) -> None:
    """Raise LockError if compiling again from the pins of a committed lock gives another file."""
    for folder, compiled in ((REQUIREMENTS, compile_lock), (CLIENT_REQUIREMENTS, compile_client_lock)):
        committed = folder / f"{version}.txt"
        with tempfile.TemporaryDirectory() as temporary:
            again = Path(temporary) / committed.name
            if committed.exists():
                shutil.copy(committed, again)
            compiled(version, again, uv=uv, upgrade=False)
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
                compile_client_lock(
                    version, CLIENT_REQUIREMENTS / f"{version}.txt", uv=options.uv, upgrade=options.upgrade
                )
            print(f"MLflow {version}: {'current' if options.check else 'locked'}", file=sys.stderr)
        if not options.check:
            compile_build_lock(uv=options.uv, upgrade=options.upgrade)
    except LockError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
