"""Processes of a local stack, found by the marker in their environment and ended as a whole.

MLflow 2.9 and 3.4 leave workers behind when only the command is ended (measured): they hold the port and answer
for the next revision. So a program's processes are known by an environment variable that every descendant
inherits, whatever its process group or parent.
"""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import psutil

if TYPE_CHECKING:
    from collections.abc import Iterable

STATE_MARKER = "MLFLOW_BACKEND_STATE"
PROGRAM_MARKER = "MLFLOW_BACKEND_PROGRAM"
_ENDED = frozenset({psutil.STATUS_ZOMBIE, psutil.STATUS_DEAD})


def marked(state: str, *programs: str) -> list[psutil.Process]:
    """Return this stack's live processes, or those of some programs, without the caller.

    It reads the environment of every process of the machine: ask once for several programs.
    """
    found = []
    for process in psutil.process_iter():
        try:
            environment = process.environ()
            mine = environment.get(STATE_MARKER) == state
            if mine and process.status() not in _ENDED and process.pid != os.getpid():
                found.append((environment.get(PROGRAM_MARKER), process))
        except psutil.Error:
            # Ended meanwhile, or another user's: not ours either way.
            continue
    return [process for program, process in found if not programs or program in programs]


def ended(pid: int) -> bool:
    """Return whether a process has ended and is only still listed: it takes signals until its parent collects it."""
    try:
        return psutil.Process(pid).status() in _ENDED
    except psutil.Error:
        return False


def state_of(pid: int) -> str | None:
    """Return the folder of the stack that a process is of, None if it is of none or gone."""
    try:
        return psutil.Process(pid).environ().get(STATE_MARKER)
    except psutil.Error:
        return None


def end(processes: Iterable[psutil.Process], *, timeout_s: float, ask: signal.Signals = signal.SIGTERM) -> None:
    """Ask the processes to end, and kill those that have not within the time."""
    alive = list(processes)
    for request, patience in ((ask, timeout_s), (signal.SIGKILL, 5.0)):
        for process in alive:
            try:
                process.send_signal(request)
            except psutil.NoSuchProcess:
                continue
        _, alive = psutil.wait_procs(alive, timeout=patience)
        if not alive:
            return


def command_line(pid: int) -> tuple[str, ...]:
    """Return the arguments that a process really runs with, empty if it is gone."""
    try:
        return tuple(psutil.Process(pid).cmdline())
    except psutil.Error:
        return ()


def connections(processes: Iterable[psutil.Process], port: int) -> int:
    """Count the established connections that these processes serve on a port."""
    return sum(state == psutil.CONN_ESTABLISHED for state in _on_port(processes, port))


def listens(processes: Iterable[psutil.Process], port: int) -> bool:
    """Return whether one of these processes listens on a port."""
    return psutil.CONN_LISTEN in _on_port(processes, port)


def _on_port(processes: Iterable[psutil.Process], port: int) -> list[str]:
    found = []
    for process in processes:
        try:
            found += [c.status for c in process.net_connections(kind="tcp") if c.laddr.port == port]
        except psutil.Error:
            # Ended meanwhile.
            continue
    return found
