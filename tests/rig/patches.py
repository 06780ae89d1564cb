"""Repairs of a library's behaviour that are taken back: other tests in the same process use the library as it is."""

from __future__ import annotations

from contextlib import ExitStack
from typing import TYPE_CHECKING, Any
from unittest import mock

if TYPE_CHECKING:
    from collections.abc import Callable


class Patches(ExitStack):
    """Attributes that are replaced until it is closed."""

    def put(self, owner: Any, name: str, value: Any) -> Any:
        """Replace an attribute that is there, and return what it was."""
        before = getattr(owner, name)
        self.enter_context(mock.patch.object(owner, name, value))
        return before

    def add(self, owner: Any, name: str, value: Any) -> None:
        """Add an attribute that is not there."""
        assert not hasattr(owner, name), f"{owner} has {name} by now: the repair is not needed any more"
        self.enter_context(mock.patch.object(owner, name, value, create=True))


def called(handler: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Return a function that can become a method of somebody's class: the handler is given its `self`."""
    return lambda self: handler(self)  # noqa: PLW0108 - a bound method on a class would not be given it
