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


def configuration(*, server_port: int, host: str = "", port: int = PORT) -> dict[str, Any]:
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
                        "routes": [{"handle": [_proxy(server_port)]}],
                    }
                },
            }
        },
    }


def environment(*, server_port: int) -> dict[str, str]:
    """Return the variable that the command reads the configuration from."""
    return {VARIABLE: json.dumps(configuration(server_port=server_port), sort_keys=True, separators=(",", ":"))}


def _proxy(server_port: int) -> dict[str, Any]:
    return {
        "handler": "reverse_proxy",
        "upstreams": [{"dial": f"127.0.0.1:{server_port}"}],
        # Streams are passed on as they come.
        "flush_interval": -1,
        # A kept connection stays with one of the server's workers; fresh ones spread over all of them.
        "transport": {"protocol": "http", "keep_alive": {"enabled": False}, "dial_timeout": "2s"},
    }
