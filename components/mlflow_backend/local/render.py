"""The configuration of supervisord and of the proxy, from the local target's programs. Pure.

Owns the text of every configuration file. Does not read or write any.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping  # noqa: TC003 - `codec` reads the declared types
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mlflow_backend.codec import to_document
from mlflow_backend.server import SecretTemplate  # noqa: TC001 - as above

if TYPE_CHECKING:
    from pathlib import Path

_LOG_BYTES = "10MB"
_LOG_BACKUPS = 3


@dataclass(frozen=True, kw_only=True)
class Program:
    """One supervised program.

    `prefix` is a command that replaces itself by `argv` (setpriv). `tree` says that the program has children that
    must never outlive it. Times are seconds. `secret_versions` makes a changed secret a changed program.
    """

    name: str
    argv: tuple[str, ...]
    prefix: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    secret_environment: Mapping[str, SecretTemplate] = field(default_factory=dict)
    secret_versions: Mapping[str, str] = field(default_factory=dict)
    tree: bool = False
    stop_signal: str = "TERM"
    stop_timeout_s: int = 10
    start_seconds: int = 1
    start_retries: int = 10

    def manifest(self) -> dict[str, Any]:
        """Return the program as the launcher reads it."""
        return to_document(self)

    def digest(self) -> str:
        """Return the identity of everything that the program is started with."""
        return digest(self.manifest())


def digest(document: Mapping[str, Any]) -> str:
    """Return a short stable identity of a JSON document."""
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:16]


def supervisord(*, folder: Path, port: int, password: str, user: str, marker: Mapping[str, str]) -> str:
    """Return supervisord's own configuration; programs are included from its folder."""
    environment = ",".join(f'{name}="{_escaped(value)}"' for name, value in marker.items())
    return f"""[supervisord]
logfile={_escaped(str(folder))}/supervisord.log
logfile_maxbytes={_LOG_BYTES}
logfile_backups={_LOG_BACKUPS}
pidfile={_escaped(str(folder))}/supervisord.pid
childlogdir={_escaped(str(folder))}
user={user}
identifier=mlflow-backend
environment={environment}

[inet_http_server]
port=127.0.0.1:{port}
username=mlflow-backend
password={password}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[include]
files = programs/*.conf
"""


def section(program: Program, *, launcher: tuple[str, ...], directory: Path, log: Path) -> str:
    """Return a program's section of supervisord's configuration.

    The digest stands in the command so that supervisord sees any change of the manifest as a changed program.
    """
    command = " ".join(f'"{_escaped(part)}"' for part in (*launcher, program.digest()))
    return f"""[program:{program.name}]
command={command}
directory={_escaped(str(directory))}
autostart=true
autorestart=true
startsecs={program.start_seconds}
startretries={program.start_retries}
stopsignal={program.stop_signal}
stopwaitsecs={program.stop_timeout_s}
killasgroup=true
redirect_stderr=true
stdout_logfile={_escaped(str(log))}
stdout_logfile_maxbytes={_LOG_BYTES}
stdout_logfile_backups={_LOG_BACKUPS}
"""


def proxy(upstreams: Mapping[int, Path]) -> dict[str, Any]:
    """Return Caddy's configuration: ports, each with one upstream, whose address is a file's content.

    A switch replaces that file, so the proxy is never reloaded and none of its connections is ever closed by it.
    Upstream connections are not kept alive: one kept by an old server could be closed under a request, and fresh
    ones spread over the server's workers, which kept ones do not (docs/facts.md).
    """
    servers = {
        address.name: {
            "listen": [f"127.0.0.1:{port}"],
            "automatic_https": {"disable": True},
            "protocols": ["h1"],
            "routes": [
                {
                    "handle": [
                        {
                            "handler": "reverse_proxy",
                            "upstreams": [{"dial": f"{{file.{address}}}"}],
                            "transport": {"protocol": "http", "keep_alive": {"enabled": False}, "dial_timeout": "2s"},
                        }
                    ]
                }
            ],
        }
        for port, address in upstreams.items()
    }
    return {
        # No reload is ever needed, so the interface for it is closed.
        "admin": {"disabled": True, "config": {"persist": False}},
        "logging": {"logs": {"default": {"level": "ERROR"}}},
        "apps": {"http": {"servers": servers}},
    }


def _escaped(text: str) -> str:
    """Return text as supervisord's configuration reads it literally (it expands `%(name)s`)."""
    return text.replace("%", "%%")
