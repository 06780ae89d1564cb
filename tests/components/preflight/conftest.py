"""The registry that the tests of this folder share."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.components.preflight.images import Store, registry
from tests.loopback_http import Handler, LoopbackServer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator


@pytest.fixture(scope="session")
def store() -> Iterator[Store]:
    """A repository of a real registry on loopback."""
    with registry() as running:
        yield running


@pytest.fixture
def loopback_file() -> Iterator[Callable[[bytes], str]]:
    """Serve bytes under an address on loopback."""
    bodies: dict[str, bytes] = {}

    class Bodies(Handler):
        def reply(self) -> None:
            self.answer(200, bodies[self.path.partition("?")[0]])

    with LoopbackServer(Bodies) as server:

        def serve(body: bytes) -> str:
            path = f"/{len(bodies)}"
            bodies[path] = body
            return f"{server.url}{path}"

        yield serve
