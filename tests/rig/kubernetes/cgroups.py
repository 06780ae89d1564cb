"""The control groups of a cluster: a root in each hierarchy, which the kernel leaves behind when the processes end."""

from __future__ import annotations

import contextlib
import itertools
import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Iterator

_MOUNT: Final = Path("/sys/fs/cgroup")
_BEGINNING: Final = "mlflow-backend-rig"
_DEADLINE_S: Final = 20
# All pods of a cluster together would have the time of one process of a busy machine, so that servers do not become
# ready within their allowance (seen at a load of 40). Ten times the usual weight, by version 1 and by version 2.
_WEIGHTS: Final = (("cpu/{}/cpu.shares", "10240"), ("{}/cpu.weight", "1000"))
_numbers: Final = itertools.count(1)


def make() -> str:
    """Make a root of this process, and remove those of processes that are gone; returns its name."""
    for left in _roots(f"{_BEGINNING}-*"):
        if not psutil.pid_exists(int(left.name.removeprefix(f"{_BEGINNING}-").partition("-")[0])):
            _remove_tree(left)
    name = f"{_BEGINNING}-{os.getpid()}-{next(_numbers)}"
    for hierarchy in _hierarchies():
        (hierarchy / name).mkdir()
    cpus = _MOUNT / "cpuset" / name
    if cpus.exists():
        # Version 1: a new group has no processor and no memory.
        for file in ("cpuset.cpus", "cpuset.mems"):
            (cpus / file).write_text((_MOUNT / "cpuset" / file).read_text())
    for file, weight in _WEIGHTS:
        if (path := _MOUNT / file.format(name)).exists():
            path.write_text(weight)
    return name


def remove(name: str) -> None:
    """Remove a root with all below it; raises if a process is in it still."""
    for root in _roots(name):
        until(lambda root=root: _remove_tree(root), what=f"{root} is left", deadline_s=_DEADLINE_S)  # type: ignore[misc]


def left(name: str) -> list[Path]:
    """Return the roots of this name."""
    return list(_roots(name))


def _hierarchies() -> Iterator[Path]:
    if (_MOUNT / "cgroup.controllers").exists():
        yield _MOUNT
        return
    # A controller may be mounted with others, and by each name then.
    yield from {each.resolve() for each in _MOUNT.iterdir() if each.is_dir()}


def _roots(pattern: str) -> Iterator[Path]:
    for hierarchy in _hierarchies():
        yield from hierarchy.glob(pattern)


def _remove_tree(root: Path) -> bool:
    for folder, _, _ in os.walk(root, topdown=False):
        # Its processes are about to be gone.
        with contextlib.suppress(OSError):
            Path(folder).rmdir()
    return not root.exists()
