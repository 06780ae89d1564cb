"""What RDS instances and ElastiCache groups have in common on the rig: an engine that runs for each."""

from __future__ import annotations

from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.rig.authority import Authority
    from tests.rig.loopback import Block
    from tests.rig.patches import Patches


class Engine(Protocol):
    """A running server."""

    def stop(self) -> None:
        """End it."""


E = TypeVar("E", bound=Engine)


class Engines(Generic[E]):
    """The engines that run, by the identifier of what AWS calls them; `addresses` keeps those that ended, too."""

    def __init__(self, patches: Patches, folder: Path, block: Block, authority: Authority) -> None:
        """Run none yet; all end with the patches."""
        self.running: dict[str, E] = {}
        self.addresses: dict[str, str] = {}
        self.authority = authority
        self._folder, self._block, self._made = folder, block, 0
        patches.callback(self.close)

    def run(self, name: str, start: Callable[[Path, str], E]) -> E:
        """Start one in a folder and at an address of its own."""
        self._made += 1
        address = self.addresses[name] = self._block.address()
        self.running[name] = start(self._folder / f"{name}-{self._made}", address)
        return self.running[name]

    def end(self, name: str) -> None:
        """Stop one."""
        self.running.pop(name).stop()

    def close(self) -> None:
        """Stop all."""
        for name in list(self.running):
            self.end(name)
