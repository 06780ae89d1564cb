"""The bounds of a request's body, and of the artifact that it asks for: its limit, and the temporary folder's room."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mlflow_backend_server.http.exchange import IN_MEMORY_BYTES, Answer, Request, no_space, space_wanted, too_large

if TYPE_CHECKING:
    from mlflow_backend_server.temporary import Space


class BodyRefusedError(Exception):
    """Thrown into the application that reads a body which is refused meanwhile."""


class Bounds:
    """The bounds of one request; both stacks ask before it is served, and for each piece that comes."""

    def __init__(self, request: Request, *, limit: int, space: Space | None) -> None:
        """Know the request, the limit on its body, and the temporary folder."""
        self._request, self._limit, self._space = request, limit, space

    def before(self) -> Answer | None:
        """Return why the request cannot be served at all, by what it announces; None if it can."""
        wanted = space_wanted(self._request)
        return self._without_room(wanted) if wanted else None

    def at(self, received: int) -> Answer | None:
        """Return why no more of the body is taken after so many bytes; None if more is."""
        if self._limit and received > self._limit:
            return too_large(self._limit, artifact=self._request.uploads_artifact)
        return self._without_room(1) if received > IN_MEMORY_BYTES else None

    def _without_room(self, wanted: int) -> Answer | None:
        # A measurement may be of before the last copy went: nobody is refused by an old one.
        if self._space is None or wanted <= self._space.room() or wanted <= self._space.room(now=True):
            return None
        return no_space(wanted, budget=self._space.budget)
