"""What the processes of a local backend wrote into their files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_backend.local.supervisor import Supervisor

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from mlflow_backend.local.state import StateDir


@dataclass(frozen=True)
class LocalLogs:
    """The logs of one backend (target.Logs)."""

    state: StateDir

    def parts(self) -> Sequence[str]:
        """Return each program that ever wrote a line."""
        return sorted(path.stem for path in self.state.logs.glob("*.log"))

    def shown(self) -> Sequence[str]:
        """Return all of them."""
        return self.parts()

    def tails(self, part: str, *, lines: int) -> Iterator[str]:
        """Return the last lines of a program's file."""
        yield f"{part} ({self.state.logs / f'{part}.log'})\n{Supervisor(self.state).tail(part, lines=lines)}"

    def audit(self) -> Iterator[str]:
        """Return every line of every server."""
        for path in self.state.logs.glob("server-*.log"):
            with path.open(encoding="utf-8", errors="replace") as log:
                yield from log
