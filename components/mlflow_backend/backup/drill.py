"""The result of a drill, as a value and as JSON, and what all results together say of a backup. Pure.

Each drill writes an object of its own beside the manifest, so that whoever prunes or restores knows from the
destination alone which backups were proved.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass
from datetime import datetime
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from mlflow_backend.backup.retention import BackupState
from mlflow_backend.contract import PlatformFailed

if TYPE_CHECKING:
    from collections.abc import Iterable

FORMAT = "mlflow-backend/drill/1"


class Outcome(StrEnum):
    """How a drill ended; `inconclusive` says nothing of the backup: the disk was full, or the drill was killed."""

    PROVED = "proved"
    DAMAGED = "damaged"
    INCONCLUSIVE = "inconclusive"


@dataclass(frozen=True, kw_only=True)
class DrillResult:
    """One drill of one backup.

    `rto_s` is from its start until the restored server passed verification, None if it did not; `rpo_s` is the age of
    the backup's snapshot at the start: what was logged since would be lost. `keys_proved` says whether the keys were
    opened by the recovery key alone. `findings` are sentences without secrets, none if the backup was proved; `notes`
    are what it says beside that, such as orphaned artifacts.
    """

    backup: str
    started_at: datetime
    outcome: Outcome
    keys_proved: bool
    rto_s: float | None
    rpo_s: float
    findings: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def object_name(result: DrillResult) -> str:
    """Return the name of the result's object in the backup's folder."""
    return f"drill-{result.started_at:%Y%m%dT%H%M%SZ}.json"


def encode(result: DrillResult) -> bytes:
    """Return the result as it is stored."""
    document = {"format": FORMAT, **asdict(result)}
    return (json.dumps(document, default=datetime.isoformat, indent=1) + "\n").encode()


def decode(content: bytes, *, backup: str) -> DrillResult:
    """Return the result that `content` holds. Raises PlatformFailed if it is not one of the backup with that id."""
    try:
        return _result(json.loads(content), backup)
    except (AttributeError, KeyError, TypeError, ValueError):
        raise PlatformFailed(
            "it is not whole, or of another format or another backup",
            code="drill-result-damaged",
            fix="Repeat the drill",
            part=f"drill of {backup}",
        ) from None


def state_of(results: Iterable[DrillResult]) -> BackupState:
    """Return what the drills of one backup say of it: the newest one that reached a conclusion decides."""
    conclusive = [result for result in results if result.outcome is not Outcome.INCONCLUSIVE]
    if not conclusive:
        return BackupState.UNPROVED
    newest = max(conclusive, key=lambda result: result.started_at)
    return BackupState.PROVED if newest.outcome is Outcome.PROVED else BackupState.DAMAGED


def _result(document: dict[str, Any], backup: str) -> DrillResult:
    result = DrillResult(
        backup=document["backup"],
        started_at=datetime.fromisoformat(document["started_at"]),
        outcome=Outcome(document["outcome"]),
        keys_proved=document["keys_proved"] is True,
        rto_s=None if document["rto_s"] is None else _seconds(document["rto_s"]),
        rpo_s=_seconds(document["rpo_s"]),
        findings=tuple(map(str, document["findings"])),
        notes=tuple(map(str, document["notes"])),
    )
    if document["format"] != FORMAT or result.backup != backup or result.started_at.tzinfo is None:
        raise ValueError("another format or another backup")
    # A result that contradicts itself proves nothing.
    if result.outcome is Outcome.PROVED and (result.rto_s is None or result.findings):
        raise ValueError("proved, with findings or without a server")
    return result


def _seconds(number: object) -> float:
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number) or number < 0:
        raise ValueError("not a number of seconds")
    return float(number)
