"""The server's image as its Dockerfile builds it, with a certificate file of the tests in the place of RDS's."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import sys
import threading
from functools import partial
from typing import TYPE_CHECKING, Final

from tests.server import containers
from tests.server.services import PROJECT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

VERSION: Final = "3.17.2"
"""Of MLflow, whose image is tried."""


@contextlib.contextmanager
def certificates(folder: Path) -> Iterator[tuple[str, str]]:
    """Serve a file that stands for RDS's certificates; gives its URL and its checksum."""
    (folder / "bundle.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        digest = hashlib.sha256((folder / "bundle.pem").read_bytes()).hexdigest()
        yield f"http://127.0.0.1:{server.server_port}/bundle.pem", digest
    finally:
        server.shutdown()
        server.server_close()


def build(version: str, url: str, digest: str) -> str:
    """Build the Dockerfile as it stands, with the arguments that the workflow would give, and return the image's id."""
    script = (sys.executable, PROJECT / "server/tools/image_arguments.py", version)
    given = ("--certificates-url", url, "--certificates-sha256", digest)
    arguments = containers.run(*script, "--base", containers.base_image(), "--revision", "test", *given)
    return containers.build(PROJECT / "server", arguments.split())
