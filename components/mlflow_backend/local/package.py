"""The server package (plugin and database tool) as the environments of MLflow versions get it.

Those are shared by all checkouts of a user, and each checkout has its own package: so it is installed into a folder of
its own, named by its content, which a revision puts on PYTHONPATH. A revision that serves keeps its folder.
"""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from mlflow_backend.caches import cache_folder, locked
from mlflow_backend.contract import PlatformFailed
from mlflow_backend.environments import uv
from mlflow_backend.packaged import SERVER

_BUILD_LOCK = SERVER / "image" / "build.txt"
_PART = "server package"
_TIMEOUT_S = 300


@dataclass(frozen=True, kw_only=True)
class Package:
    """The package of this checkout: the folder that it is installed in, or will be, and its content's digest."""

    path: Path
    digest: str

    @property
    def installed(self) -> bool:
        """Whether the folder is there; it appears complete or not at all."""
        return self.path.is_dir()


@cache
def locate() -> Package:
    """Return where this checkout's package is or will be."""
    content = hashlib.sha256()
    for path in (SERVER / "pyproject.toml", *sorted((SERVER / "src").rglob("*"))):
        if path.is_file() and path.suffix != ".pyc":
            content.update(f"{path.relative_to(SERVER)}\0{path.stat().st_size}\0".encode())
            content.update(path.read_bytes())
    digest = content.hexdigest()[:16]
    return Package(path=cache_folder("packages") / digest, digest=digest)


def install() -> Package:
    """Install the package if it is missing; others who want the same one wait for it.

    Raises PlatformFailed if that fails; nothing half-installed is left.
    """
    package = locate()
    with locked(package.path):
        if not package.installed:
            temporary = Path(tempfile.mkdtemp(dir=package.path.parent, prefix=".new-"))
            try:
                _build(temporary)
                temporary.rename(package.path)
            finally:
                shutil.rmtree(temporary, ignore_errors=True)
    return package


def _build(folder: Path) -> None:
    """Build and install by uv, with the build backend of the hash lock that the image is built by.

    The first try is offline: only a machine whose uv lacks the build backend needs the network.
    """
    target = ("--python", sys.executable, "--target", str(folder), str(SERVER))
    locked_backend = ("--build-constraints", str(_BUILD_LOCK))
    command = (uv(), "pip", "install", "--quiet", "--no-deps", "--compile-bytecode", *locked_backend, *target)
    for way in (("--offline",), ()):
        try:
            done = subprocess.run((*command, *way), capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
        except subprocess.TimeoutExpired:
            finding = f"installing it took longer than {_TIMEOUT_S} s"
            raise PlatformFailed(
                finding, code="package-install-overdue", fix="Check the package index's speed and repeat", part=_PART
            ) from None
        if done.returncode == 0:
            return
    finding = f"it could not be installed:\n{done.stderr.strip()}"
    raise PlatformFailed(
        finding, code="package-not-installed", fix="Check that the package index can be reached and repeat", part=_PART
    )
