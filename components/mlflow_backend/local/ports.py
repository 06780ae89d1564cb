"""Loopback ports of a local stack: chosen free once, then kept."""

from __future__ import annotations

import contextlib
import json
import random
import socket
from typing import TYPE_CHECKING

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.local.state import read_object, write

if TYPE_CHECKING:
    from mlflow_backend.local.state import StateDir

LOOPBACK = "127.0.0.1"
# Below the range that Linux and macOS hand out to outgoing connections (32768 and 49152 upwards), so that no
# client's connection sits on a port between our choice and the server's start.
_RANGE = range(20_000, 32_000)
_ATTEMPTS = 200
_FIX = "Delete it and run `make up`, which chooses ports anew and keeps the data"


def is_free(port: int) -> bool:
    """Return whether a server could listen on this loopback port now."""
    with contextlib.closing(socket.socket()) as probe:
        # Servers set it too: a port in TIME_WAIT after our own restart is free.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def listens(port: int, *, timeout_s: float = 1.0) -> bool:
    """Return whether something accepts connections on this loopback port."""
    try:
        socket.create_connection((LOOPBACK, port), timeout=timeout_s).close()
    except OSError:
        return False
    return True


def known(state: StateDir) -> dict[str, int]:
    """Return the ports that this stack has chosen, by their name. Raises PlatformFailed for another file."""
    path = state.path / "ports.json"
    document = read_object(path, _FIX) or {}
    if not all(isinstance(port, int) for port in document.values()):
        raise PlatformFailed("holds something else than ports", code="ports-damaged", fix=_FIX, part=str(path))
    return document


def choose(state: StateDir, name: str, *, wanted: int | None = None) -> int:
    """Return the stack's port of this name: the wanted one, the one chosen earlier, or a free one.

    Raises PlatformFailed if no free port was found.
    """
    with state.locked("ports"):
        ports = known(state)
        if wanted is None and name in ports:
            return ports[name]
        ports[name] = wanted if wanted is not None else free(frozenset(ports.values()))
        write(state.path / "ports.json", json.dumps(ports, indent=2))
        return ports[name]


def forget(state: StateDir, name: str) -> None:
    """Give a port back."""
    with state.locked("ports"):
        ports = known(state)
        if ports.pop(name, None) is not None:
            write(state.path / "ports.json", json.dumps(ports, indent=2))


def free(taken: frozenset[int] = frozenset()) -> int:
    """Return a port that nothing listens on and no outgoing connection will be given.

    Raises PlatformFailed if none was found.
    """
    for _ in range(_ATTEMPTS):
        port = random.choice(_RANGE)  # noqa: S311 - not a secret
        if port not in taken and is_free(port):
            return port
    finding = f"no free port among {_ATTEMPTS} tried in {_RANGE.start}-{_RANGE.stop - 1}"
    raise PlatformFailed(finding, code="ports-taken", fix="End what occupies this range on 127.0.0.1", part="ports")
