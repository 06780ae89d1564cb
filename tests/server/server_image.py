"""The server's image as its Dockerfile builds it, with a certificate file of the tests in the place of RDS's."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import sys
from functools import partial
from typing import TYPE_CHECKING, Final

from tests.loopback_http import LoopbackServer
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
    digest = hashlib.sha256((folder / "bundle.pem").read_bytes()).hexdigest()
    with LoopbackServer(handler) as server:
        yield f"{server.url}/bundle.pem", digest


def build(version: str, url: str, digest: str) -> str:
    """Build the Dockerfile as it stands, with the arguments that the workflow would give, and return the image's id."""
    script = (sys.executable, PROJECT / "server/tools/image_arguments.py", version)
    given = ("--certificates-url", url, "--certificates-sha256", digest)
    arguments = containers.run(*script, "--base", containers.base_image(), "--revision", "test", *given)
    return containers.build(PROJECT / "server", arguments.split())
