"""The tool's exit codes, and the one error that carries them."""

from __future__ import annotations

from enum import IntEnum, StrEnum


class ExitCode(IntEnum):
    """What the tool's exit code means to its caller."""

    DONE = 0
    FAILED = 1
    USAGE = 2
    AHEAD = 10
    UNSUPPORTED = 11
    UNREACHABLE = 12
    NOT_AT_HEAD = 13
    REVISION_UNKNOWN = 14
    WORTH_RETRYING = 15
    LOCKED = 16


class Direction(StrEnum):
    """Where a database's schema stands against the one that the installed MLflow requires."""

    EQUAL = "equal"
    BEHIND = "behind"
    AHEAD = "ahead"
    UNKNOWN = "unknown"
    EMPTY = "empty"
    FOREIGN = "foreign"


class ToolError(Exception):
    """The tool stops here. `finding` and `fix` are sentences for people and never hold a secret."""

    def __init__(self, code: ExitCode, finding: str, fix: str) -> None:
        """Keep the three for the caller; the message joins the sentences."""
        super().__init__(f"{finding} {fix}")
        self.code = code
        self.finding = finding
        self.fix = fix
