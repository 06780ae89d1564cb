"""The look at this machine before a local backend's first update."""

from __future__ import annotations

import os
import shutil
import sys
from typing import TYPE_CHECKING, Final

from mlflow_backend.findings import failed, passed, skipped
from mlflow_backend.local import ports
from mlflow_backend.local.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from mlflow_backend.findings import Finding
    from mlflow_backend.local.state import StateDir
    from mlflow_backend.settings import Settings

_DISK_GIB: Final = 4
"""What tools, caches and a backend need together (tools/bootstrap/setup.py says the same)."""
_GIB: Final = 1024**3


def check(settings: Settings, state: StateDir, root: Path) -> Iterator[Finding]:
    """Look at Python, the Pulumi CLI, the folder, its disk, and the ports; `root` is the project's folder."""
    yield passed("python", "target", f"Python {sys.version.partition(' ')[0]} at {sys.executable}.")
    yield _pulumi(root)
    yield from _folder(root)
    yield from _ports(settings, state)


def _pulumi(root: Path) -> Finding:
    path = os.pathsep.join((str(root / ".tools" / "bin"), os.environ.get("PATH", "")))
    found = shutil.which("pulumi", path=path)
    if found is None:
        return failed("pulumi", "target", "there is no Pulumi CLI.", "Let the set-up install it.", "make setup")
    return passed("pulumi", "target", f"the Pulumi CLI is {found}.")


def _folder(root: Path) -> Iterator[Finding]:
    if not os.access(root, os.W_OK):
        yield failed("folder", "target", f"{root} cannot be written.", "Work as its owner, or clone to another folder.")
    free = shutil.disk_usage(root).free / _GIB
    said = f"{free:.1f} GiB are free on the disk of {root}."
    if free < _DISK_GIB:
        yield failed("disk", "target", said, f"Free space: tools, caches and a backend need {_DISK_GIB} GiB.")
    else:
        yield passed("disk", "target", said)


def _ports(settings: Settings, state: StateDir) -> Iterator[Finding]:
    if state.path.exists() and Supervisor(state).running():
        yield skipped("ports", "server.port", "the backend runs, and has its ports.")
        return
    known = ports.known(state) if state.path.exists() else {}
    wanted = {"server.port": settings.server.port} if settings.server.port else {}
    taken = [f"{name} {port}" for name, port in {**known, **wanted}.items() if not ports.is_free(port)]
    if taken:
        yield failed(
            "ports",
            "server.port",
            f"another program listens on {', '.join(taken)}.",
            "End it (`ss -ltnp` names it), or set another server.port.",
        )
        return
    yield passed("ports", "server.port", "no other program listens on the backend's ports.")
