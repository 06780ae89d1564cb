"""Names that resolve to the rig: an /etc/hosts of its own, seen by containers and by the commands under test.

It is bound over the machine's in a mount namespace of whoever looks, so that nothing outside changes.
"""

from __future__ import annotations

import shlex
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Sequence

PLACE: Final = "/etc/hosts"


class Hosts:
    """The file, and the names in it."""

    def __init__(self, path: Path, address: str) -> None:
        self.path, self._address = path, address
        self._names: set[str] = set()
        self._lock = threading.Lock()
        path.write_text(Path(PLACE).read_text())

    def add(self, *names: str) -> None:
        """Let names resolve to the rig. A bound file is seen by its inode, so that lines are appended."""
        with self._lock, self.path.open("a") as file:
            for name in names:
                if name not in self._names:
                    self._names.add(name)
                    file.write(f"{self._address} {name}\n")

    def command(self, argv: Sequence[str]) -> list[str]:
        """Return a command that sees the names."""
        script = f'mount --bind {shlex.quote(str(self.path))} {PLACE} && exec "$@"'
        return ["unshare", "--mount", "sh", "-c", script, "sh", *argv]
