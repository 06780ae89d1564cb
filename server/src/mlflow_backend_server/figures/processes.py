"""Figures of this server's processes: when it started, workers that run and that died, and memory within its limit."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from mlflow_backend_server.figures.figure import Figure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

_STARTED, _WORKER = "started", "worker-"
CONTROL_GROUP = Path("/sys/fs/cgroup")


@dataclass(frozen=True, kw_only=True)
class Memory:
    """Memory of a container in bytes, without files that the kernel can drop, and how many processes it killed."""

    used: int
    limit: int
    kills: int


def prepare(folder: Path) -> None:
    """Note in the server's folder of metrics that it starts now, and forget the workers of the one before."""
    for left in folder.glob(f"{_WORKER}*"):
        left.unlink(missing_ok=True)
    (folder / _STARTED).touch()
    os.utime(folder / _STARTED)


def enter(folder: Path) -> None:
    """Note that this process is a worker."""
    (folder / f"{_WORKER}{os.getpid()}").touch()


def memory(group: Path = CONTROL_GROUP) -> Memory | None:
    """Return the memory of the container; None outside of one, without a limit, or with the kernel's older groups."""
    try:
        limit, used = (group / "memory.max").read_text().strip(), int((group / "memory.current").read_text())
        statistics, events = (_pairs(group / name) for name in ("memory.stat", "memory.events"))
    except (OSError, ValueError):
        return None
    if not limit.isdigit():
        return None
    return Memory(
        used=max(0, used - statistics.get("inactive_file", 0)), limit=int(limit), kills=events.get("oom_kill", 0)
    )


def _pairs(file: Path) -> dict[str, int]:
    return {name: int(value) for name, value in (line.split() for line in file.read_text().splitlines())}


def figures(folder: Path, runs: Callable[[str], bool], *, group: Path = CONTROL_GROUP) -> Iterator[Figure]:
    """Give the figures of the server with this folder of metrics; `runs` says whether a process of a number runs."""
    numbers = [file.name.removeprefix(_WORKER) for file in folder.glob(f"{_WORKER}*")]
    alive = sum(map(runs, numbers))
    yield Figure(name="workers", help="Worker processes that run.", value=alive)
    yield Figure(
        name="worker_deaths", help="Worker processes that have ended.", value=len(numbers) - alive, counter=True
    )
    started = (folder / _STARTED).stat().st_mtime
    yield Figure(name="start_time_seconds", help="When this server started, in Unix time.", value=started)
    if (found := memory(group)) is not None:
        yield Figure(name="memory_bytes", help="Memory of this server's container.", value=found.used)
        yield Figure(name="memory_limit_bytes", help="Limit of that memory.", value=found.limit)
        yield Figure(
            name="memory_kills",
            help="Processes that the kernel killed for want of memory.",
            value=found.kills,
            counter=True,
        )
