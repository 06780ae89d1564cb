"""One supervised service of a local stack, as the database, the cache, the store and the proxy each are."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING, ClassVar

if TYPE_CHECKING:
    from mlflow_backend.local.render import Program
    from mlflow_backend.local.state import StateDir


class Service(abc.ABC):
    """A service of one stack on one loopback port."""

    name: ClassVar[str]

    def __init__(self, state: StateDir, port: int) -> None:
        """Name the stack and the port; nothing is started."""
        self.state, self.port = state, port

    @abc.abstractmethod
    def program(self) -> Program:
        """Return what the supervisor runs."""

    @abc.abstractmethod
    def prepare(self) -> None:
        """Write what the program needs before it starts; safe to repeat."""

    def outdated(self) -> bool:
        """Return whether it has to be stopped before `prepare`, which brings its data to another form."""
        return False

    @abc.abstractmethod
    def answers(self) -> bool:
        """Return whether it serves, asked as its administrator."""

    def refuses_administrator(self) -> bool:
        """Return whether it runs and refuses its administrator's credential, which can then only be set offline."""
        return False

    def set_administrator(self) -> None:  # noqa: B027 - most services are started with their credentials
        """Give the administrator the credential of the file, while the service is stopped."""

    def settle(self) -> None:  # noqa: B027 - most services need nothing
        """Make what needs the running service; safe to repeat."""

    def complaint(self) -> str | None:
        """Return what a service that answers still lacks, None if it lacks nothing."""
        return None
