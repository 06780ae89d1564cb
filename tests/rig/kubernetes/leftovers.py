"""What a cluster could leave on the machine: its namespaces, its mounts, its control groups."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import TYPE_CHECKING

from tests.rig.kubernetes import cgroups

if TYPE_CHECKING:
    from collections.abc import Iterator


def find(folder: Path, network: str, cgroup: str) -> list[str]:
    """Return what is left of the cluster in a folder, with a network namespace (`network_of`) and a control group.

    Links, addresses and rules are the network namespace's, which is gone with its last process: nothing mounts it.
    """
    return [*_processes(folder, network), *_mounts(folder), *map(str, cgroups.left(cgroup))]


def network_of(process: int) -> str:
    """Return the name of a process's network namespace."""
    return str(Path(f"/proc/{process}/ns/net").readlink())


def _processes(folder: Path, network: str) -> Iterator[str]:
    for process in Path("/proc").glob("[0-9]*"):
        # One may end while it is looked at.
        with contextlib.suppress(OSError):
            words = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(process.joinpath("ns/net").readlink()) == network or f"{folder}/" in words:
                yield f"process {process.name}: {words}"


def _mounts(folder: Path) -> Iterator[str]:
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        target = line.split()[4]
        if target.startswith(f"{folder}/"):
            yield f"mount {target}"
