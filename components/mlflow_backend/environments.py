"""Python environments of MLflow versions: installed from a full hash lock, complete or not at all, shared by a user.

An old version rebuilt from its name alone does not start any more (SQLAlchemy 2.1 breaks it), so what each version
needs and does not state is known here, and environments are named by the digest of their lock.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlflow_backend import certificates, packaged
from mlflow_backend.caches import cache_folder, locked
from mlflow_backend.contract import PlatformFailed

if TYPE_CHECKING:
    from collections.abc import Sequence

_INSTALL_TIMEOUT_S = 900
_COMPLETE = ".complete"


@dataclass(frozen=True, kw_only=True)
class Repair:
    """A requirement that MLflow versions from `since` to below `below` need and do not state themselves."""

    since: tuple[int, ...] = ()
    below: tuple[int, ...]
    requirement: str


REPAIRS: Final = (
    # Unguarded until 3.10.1: `from sqlalchemy.pool import FallbackAsyncAdaptedQueuePool`, which SQLAlchemy 2.1 lacks.
    Repair(below=(3, 10, 1), requirement="sqlalchemy<2.1"),
    # `import pkg_resources` without a dependency on setuptools, which dropped that module in version 81.
    Repair(below=(2, 16), requirement="setuptools<81"),
)
CLIENT_REPAIRS: Final = (
    # Their span processors do not call the constructor of OpenTelemetry's, which 1.45 needs: no trace is ended or
    # uploaded (measured: 2.22.5 and 3.1.4 with 1.45.2; 3.4.0 works).
    Repair(since=(2, 14), below=(3, 4), requirement="opentelemetry-sdk<1.45"),
)


@dataclass(frozen=True, kw_only=True)
class Environment:
    """An installed environment: where it is, and the digest of what it was installed from."""

    path: Path
    lock: str

    @property
    def mlflow(self) -> Path:
        """The `mlflow` command."""
        return self.path / "bin" / "mlflow"

    @property
    def python(self) -> Path:
        """Its Python."""
        return self.path / "bin" / "python"


def release(version: str) -> tuple[int, ...]:
    """The comparable form of a plain MLflow version such as `3.17.2`."""
    return tuple(int(part) for part in version.split("."))


def requirements(version: str, repairs: Sequence[Repair] = REPAIRS) -> list[str]:
    """Return what an environment of an MLflow version is asked for, whatever else is in it."""
    needed = [repair.requirement for repair in repairs if repair.since <= release(version) < repair.below]
    return [f"mlflow=={version}", *needed]


def client_requirements(version: str) -> list[str]:
    """Return what the environment of a client is asked for: what teams install, and a library of models."""
    return [*requirements(version, (*REPAIRS, *CLIENT_REPAIRS)), "scikit-learn"]


def locked_versions() -> tuple[str, ...]:
    """Return the MLflow versions that have a lock, oldest first."""
    return tuple(sorted((path.stem for path in packaged.LOCKS.glob("*.txt")), key=release))


def named(name: str, lock: Path, folder: str = "environments") -> Environment:
    """Return where the environment of a lock is or will be."""
    digest = hashlib.sha256(lock.read_bytes()).hexdigest()[:16]
    python = f"py{sys.version_info.major}.{sys.version_info.minor}"
    return Environment(path=cache_folder(folder) / f"{name}-{digest}-{python}", lock=digest)


def exists(environment: Environment) -> bool:
    """Return whether the environment was installed completely."""
    return (environment.path / _COMPLETE).exists()


def install(environment: Environment, lock: Path, part: str, *, compiled: bool) -> Environment:
    """Install an environment if it is missing; others who want the same one wait for it. `part` is named in errors.

    `compiled` spends the time now that the first start of a server would; a client imports little of what there is.

    Raises PlatformFailed if the installation fails; nothing half-installed is left.
    """
    with locked(environment.path):
        if not exists(environment):
            shutil.rmtree(environment.path, ignore_errors=True)
            try:
                _build(environment, lock, part, compiled=compiled)
            except BaseException:
                shutil.rmtree(environment.path, ignore_errors=True)
                raise
    return environment


def _build(environment: Environment, lock: Path, part: str, *, compiled: bool) -> None:
    run_uv(["venv", "--quiet", "--no-project", "--python", sys.executable, str(environment.path)], part)
    flags = ["--require-hashes", "--only-binary", ":all:", "--no-deps", *(["--compile-bytecode"] if compiled else [])]
    run_uv(["pip", "install", "--quiet", "--python", str(environment.python), *flags, "-r", str(lock)], part)
    (environment.path / _COMPLETE).touch()


def run_uv(arguments: Sequence[str], part: str) -> None:
    """Run uv. Raises PlatformFailed, with its words, if it fails or takes too long."""
    try:
        done = subprocess.run(
            [uv(), *arguments],
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
            finding, code="environment-install-overdue", fix="Check the package index's speed and repeat", part=part
        ) from None
    if done.returncode != 0:
        finding = f"its environment could not be installed:\n{done.stderr.strip()}"
        raise PlatformFailed(finding, code="environment-not-installed", fix=_next_step(done.stderr), part=part)


def _next_step(said: str) -> str:
    """Return what helps against what uv said."""
    if "UnknownIssuer" in said or "certificate" in said:
        return "Name the certificate authorities of the package index by SSL_CERT_FILE, and repeat"
    if "No space left" in said or "os error 28" in said:
        return f"Free space on the disk of {cache_folder('environments')}, and repeat"
    if "there is no version of mlflow==" in said:
        return "Name a version of MLflow that is published"
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
