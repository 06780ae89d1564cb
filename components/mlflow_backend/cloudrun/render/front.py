"""The container in front of the server, which lifts Cloud Run's limit of 32 MiB a request. Pure.

Cloud Run refuses larger requests only if the container behind it speaks HTTP/1 ('Quotas and limits', Cloud Run). So the
container that takes the requests speaks HTTP/2 in plain text: Caddy, from the image that the server runs, so that there
is one digest. Callers keep HTTP/1.1.
"""

from __future__ import annotations

import json
from typing import Any, Final

FRONT: Final = "front"
PORT: Final = 8080
VARIABLE: Final = "MLFLOW_BACKEND_FRONT"
_FILE: Final = "/tmp/front.json"  # noqa: S108 - the container's own
COMMAND: Final = (
    "sh",
    "-c",
    # `exec`: the signal that ends an instance has to reach Caddy, which then ends after its last request.
    f'printf %s "${VARIABLE}" > {_FILE} && exec caddy run --config {_FILE}',
)
# Cloud Run gives an instance 10 seconds from SIGTERM to SIGKILL ('Container runtime contract').
GRACE_S: Final = 9
# Shorter than the server's own (server/describe.py): one that the server closes may meet a request.
IDLE_S: Final = 5


def configuration(*, server_port: int, workers: int, host: str = "", port: int = PORT) -> dict[str, Any]:
    """Return Caddy's configuration: HTTP/1.1 for probes and HTTP/2 in plain text for requests, to one server.

    Without a host it listens on every address, which Cloud Run asks for.
    """
    return {
        "admin": {"disabled": True, "config": {"persist": False}},
        "logging": {"logs": {"default": {"level": "ERROR"}}},
        "apps": {
            "http": {
                "grace_period": f"{GRACE_S}s",
                "servers": {
                    FRONT: {
                        "listen": [f"{host}:{port}"],
                        "protocols": ["h1", "h2c"],
                        "automatic_https": {"disable": True},
                        # Only Google's own proxy reaches this port, and what it says of the caller is passed on.
                        "trusted_proxies": {"source": "static", "ranges": ["0.0.0.0/0", "::/0"]},
                        "routes": [{"handle": [_proxy(server_port, workers)]}],
                    }
                },
            }
        },
    }


def environment(*, server_port: int, workers: int, cpus: int) -> dict[str, str]:
    """Return the variable that the command reads the configuration from, and how many CPUs Caddy shares its work over.

    Caddy would use a thread for each CPU of the machine, which has more than the container: idle ones look for work.
    """
    return {
        VARIABLE: json.dumps(
            configuration(server_port=server_port, workers=workers), sort_keys=True, separators=(",", ":")
        ),
        "GOMAXPROCS": str(cpus),
    }


def _proxy(server_port: int, workers: int) -> dict[str, Any]:
    # A kept connection stays with one of the workers; fresh ones spread over all of them, for more CPU a request.
    keep_alive = {"enabled": True, "idle_timeout": f"{IDLE_S}s"} if workers == 1 else {"enabled": False}
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"127.0.0.1:{server_port}"}],
        "transport": {
            "protocol": "http",
            "keep_alive": keep_alive,
            "dial_timeout": "2s",
            # Else Caddy asks for packed answers if the caller does not, and unpacks them.
            "compression": False,
        },
    }
