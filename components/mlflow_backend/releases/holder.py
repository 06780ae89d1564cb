"""The process that holds a lock, by which the next command on the same machine knows that it has ended."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Final

_BOOT: Final = Path("/proc/sys/kernel/random/boot_id")
_NAMESPACE: Final = Path("/proc/self/ns/pid")
_ZOMBIE: Final = "Z"


def own() -> str:
    """Return this process as `MACHINE PROCESS`; '' on a system that does not tell machines apart."""
    machine = _machine()
    return f"{machine} {os.getpid()}" if machine else ""


def has_ended(holder: str) -> bool:
    """Return whether a process, by what `own` returned in it, has surely ended.

    Nobody can tell of one on another machine, in another container, or before the machine was started again.
    """
    machine, _, process = holder.partition(" ")
    if not machine or machine != _machine():
        return False
    try:
        os.kill(int(process), 0)
        stat = Path(f"/proc/{process}/stat").read_text(encoding="utf-8", errors="replace")
    except (ProcessLookupError, FileNotFoundError):
        return True
    except PermissionError:
        return False
    # 'PID (COMMAND) STATE ...' (proc(5)); a command may have brackets and spaces.
    return stat.rpartition(")")[2].split()[0] == _ZOMBIE


def _machine() -> str:
    """Return what differs between machines, their starts, and containers; '' if the system does not say it."""
    try:
        # Machines that are made of one snapshot share what the kernel says, and are given names of their own.
        return f"{socket.gethostname()}/{_BOOT.read_text(encoding='utf-8').strip()}/{_NAMESPACE.readlink()}"
    except OSError:
        return ""
