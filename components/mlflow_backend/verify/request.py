"""How a verification is made, whoever asks for it and wherever it runs."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class VerifyRequest:
    """The set of checks, the seconds for all of them, and which of them alone or not.

    Raises ValueError for a deadline that is not a positive number.
    """

    profile: str = "core"
    deadline_s: float = 180.0
    only: tuple[str, ...] = ()
    skip: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.deadline_s > 0:
            raise ValueError("deadline: not a positive number of seconds")

    @property
    def whole(self) -> bool:
        """Whether the report says something about the backend as a whole."""
        return not (self.only or self.skip)

    def to_document(self) -> dict[str, Any]:
        """Return it as JSON-like data."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> VerifyRequest:
        """Return what `to_document` gave, after JSON."""
        return cls(**{**document, "only": tuple(document["only"]), "skip": tuple(document["skip"])})


CORE: Final = VerifyRequest()
"""What is verified if nobody asks for anything else."""
