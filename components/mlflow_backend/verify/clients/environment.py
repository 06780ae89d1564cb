"""The environment of an MLflow client as teams install it: by its lock, or resolved on demand."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from mlflow_backend import environments
from mlflow_backend.caches import cache_folder, locked
from mlflow_backend.contract import UsageError
from mlflow_backend.packaged import CLIENT_LOCKS

if TYPE_CHECKING:
    from pathlib import Path

_VERSION: Final = re.compile(r"\d+\.\d+\.\d+")
_FOLDER: Final = "clients"


def require_version(version: str) -> None:
    """Refuse what is no version of MLflow. Raises UsageError."""
    if not _VERSION.fullmatch(version):
        raise UsageError(
            f"client {version}: not a version. Write it like {environments.locked_versions()[-1]}",
            code="client-malformed",
        )


def install(version: str) -> Path:
    """Return the Python of a client's environment, installed first if it is missing.

    A version without a lock is resolved once, and its lock is kept in the user's cache.

    Raises PlatformFailed if it cannot be installed.
    """
    part = f"MLflow {version}'s client"
    lock = CLIENT_LOCKS / f"{version}.txt"
    if not lock.exists():
        lock = _resolved(version, part)
    return environments.install(environments.named(version, lock, _FOLDER), lock, part, compiled=False).python


def _resolved(version: str, part: str) -> Path:
    lock = cache_folder(_FOLDER) / f"{version}.txt"
    with locked(lock):
        if not lock.exists():
            wanted, made = lock.with_suffix(".in"), lock.with_suffix(".new")
            wanted.write_text("\n".join(environments.client_requirements(version)))
            options = ("--quiet", "--universal", "--python-version", "3.11", "--generate-hashes", "--no-header")
            try:
                environments.run_uv(["pip", "compile", *options, str(wanted), "--output-file", str(made)], part)
            finally:
                wanted.unlink()
            made.replace(lock)
    return lock
