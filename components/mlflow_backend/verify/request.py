"""The request for a verification, whoever asks for it and wherever it runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, kw_only=True)
class VerifyRequest:
    """The set of checks, the seconds for all of them, and which of them alone or not.

    `clients` are the versions of MLflow's client that the profile `client` runs; none: that of the expected version, or
    the newest that is supported.

    Raises ValueError for a deadline that is not a positive number.
    """

    profile: str = "core"
    deadline_s: float = 180.0
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()
    clients: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.deadline_s > 0:
            raise ValueError("deadline: not a positive number of seconds")

    @property
    def whole(self) -> bool:
        """Whether the report says something about the backend as a whole."""
        return not (self.only or self.skip)


CORE: Final = VerifyRequest()
"""What is verified if nobody asks for anything else."""
