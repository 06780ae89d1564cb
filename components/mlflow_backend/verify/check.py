"""One named check: the part that it shows to work, the function that runs it, and what must run before it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

    from mlflow_backend.verify.context import Context
    from mlflow_backend.verify.model import Finding, Part


@dataclass(frozen=True, kw_only=True)
class Check:
    """One named test of a running backend.

    `needs` names checks that must pass first: if one does not, this one is skipped. `after` names checks that must only
    have finished. `prepare` makes what the check needs on this machine, before the deadline begins; it raises Refused
    or PlatformFailed.
    """

    name: str
    part: Part
    run: Callable[[Context], Finding]
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()
    prepare: Callable[[], None] | None = None

    @property
    def description(self) -> str:
        """The first line of the check's docstring."""
        return (self.run.__doc__ or self.name).strip().splitlines()[0]
