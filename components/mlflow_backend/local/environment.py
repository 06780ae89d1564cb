"""The Python environment of one MLflow version: installed from its full hash lock, shared by all stacks of a user.

An old version rebuilt from its name alone does not start any more (SQLAlchemy 2.1 breaks it), so only a version
with a lock in server/requirements can be asked for, and a revision names the lock by its digest.
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_backend import certificates, packaged
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.local.state import opened_lock

if TYPE_CHECKING:
    from collections.abc import Iterator

_INSTALL_TIMEOUT_S = 900
_COMPLETE = ".complete"


@dataclass(frozen=True, kw_only=True)
class Environment:
    """An installed environment: where it is, and the digest of what it was installed from."""

    path: Path
    lock: str

    @property
    def mlflow(self) -> Path:
        """The `mlflow` command."""
        return self.path / "bin" / "mlflow"


def locked_versions() -> tuple[str, ...]:
    """Return the MLflow versions that have a lock, oldest first."""
    return tuple(sorted((path.stem for path in packaged.LOCKS.glob("*.txt")), key=_order))


def locate(version: str) -> Environment:
    """Return where a version's environment is or will be.

    Raises PlatformFailed if the version has no lock.
    """
    lock = packaged.LOCKS / f"{version}.txt"
    if not lock.exists():
        finding = f"MLflow {version} has no lock; there are locks for {', '.join(locked_versions())}"
        fix = f"Choose one of them, or make one: `python -m scripts.lock_server {version}`"
        raise PlatformFailed(
            finding, code="version-not-installable", fix=fix, part="mlflow-backend:server.mlflowVersion"
        )
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    python = f"py{sys.version_info.major}.{sys.version_info.minor}"
    return Environment(path=cache_folder("environments") / f"{version}-{digest}-{python}", lock=digest)


def exists(environment: Environment) -> bool:
    """Return whether the environment was installed completely."""
    return (environment.path / _COMPLETE).exists()


def install(version: str) -> Environment:
    """Install a version's environment if it is missing; others who want the same one wait for it.

    Raises PlatformFailed if the installation fails; nothing half-installed is left.
    """
    environment = locate(version)
    with locked(environment.path):
        if not exists(environment):
            shutil.rmtree(environment.path, ignore_errors=True)
            try:
                _build(version, environment)
            except BaseException:
                shutil.rmtree(environment.path, ignore_errors=True)
                raise
    return environment


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock beside a folder of the cache, which is made by one process at a time."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        fix = "Make it writable, or name another cache by XDG_CACHE_HOME"
        raise PlatformFailed(
            f"cannot be made: {error.strerror}", code="environment-folder-refused", fix=fix, part=str(folder.parent)
        ) from None
    with opened_lock(folder.with_suffix(".lock")) as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _build(version: str, environment: Environment) -> None:
    _run([uv(), "venv", "--quiet", "--no-project", "--python", sys.executable, str(environment.path)], version)
    python = str(environment.path / "bin" / "python")
    # Compiled now, so that the first start does not pay for it.
    flags = ("--require-hashes", "--only-binary", ":all:", "--no-deps", "--compile-bytecode")
    requirements = ("-r", str(packaged.LOCKS / f"{version}.txt"))
    _run([uv(), "pip", "install", "--quiet", "--python", python, *flags, *requirements], version)
    (environment.path / _COMPLETE).touch()


def _run(command: list[str], version: str) -> None:
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            timeout=_INSTALL_TIMEOUT_S,
            check=False,
            cwd=packaged.LOCKS,
            env=certificates.for_uv(os.environ),
        )
    except subprocess.TimeoutExpired:
        finding = f"installing it took longer than {_INSTALL_TIMEOUT_S} s"
        raise PlatformFailed(
            finding,
            code="environment-install-overdue",
            fix="Check the package index's speed and repeat",
            part=f"MLflow {version}",
        ) from None
    if done.returncode != 0:
        finding = f"its environment could not be installed:\n{done.stderr.strip()}"
        raise PlatformFailed(
            finding, code="environment-not-installed", fix=_next_step(done.stderr), part=f"MLflow {version}"
        )


def _next_step(said: str) -> str:
    """Return what helps against what uv said."""
    if "UnknownIssuer" in said or "certificate" in said:
        return "Name the certificate authorities of the package index by SSL_CERT_FILE, and repeat"
    if "No space left" in said or "os error 28" in said:
        return f"Free space on the disk of {cache_folder('environments')}, and repeat"
    return "Check that the package index can be reached and repeat"


def uv() -> str:
    """Return uv, which is installed with this package. Raises PlatformFailed if it is gone."""
    beside = Path(sys.executable).parent / "uv"
    if not beside.exists():
        raise PlatformFailed(
            "it is not there",
            code="file-missing",
            fix="Install the Python environment again (`make setup`)",
            part=str(beside),
        )
    return str(beside)


def cache_folder(part: str) -> Path:
    """Return the folder that all checkouts of a user share for one kind of thing."""
    root = os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(root) / "mlflow-backend" / part


def _order(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))
