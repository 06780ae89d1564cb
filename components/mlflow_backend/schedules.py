"""Schedules of work that repeats, as five fields of cron in UTC, and when work of a schedule is due. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from cronsim import CronSim, CronSimError

if TYPE_CHECKING:
    from mlflow_backend.settings import Settings

NEVER: Final = "never"
BACKUP: Final = "backup"
MAINTENANCE: Final = "maintenance"
"""Parts of a backend on a platform: the one-shot tasks that do this work."""
_FIELDS = 5
_NAMES = frozenset("JAN FEB MAR APR MAY JUN JUL AUG SEP OCT NOV DEC SUN MON TUE WED THU FRI SAT".split())  # noqa: SIM905
# Work that was killed as often would be killed again, and with it what runs beside it.
MOST_ATTEMPTS: Final = 3


def by_part(settings: Settings, *, verification: str) -> dict[str, str]:
    """Return the schedules that a platform's own scheduler keeps, by the parts that do the work on that platform."""
    found = {
        BACKUP: NEVER if settings.backup.destination is None else settings.backup.schedule,
        verification: settings.verify.schedule or NEVER,
        MAINTENANCE: settings.maintain.schedule,
    }
    return {part: schedule for part, schedule in found.items() if schedule != NEVER}


@dataclass(frozen=True, kw_only=True)
class WorkRecord:
    """What became of the work of one schedule.

    `since` is the moment up to which nothing is due any more. `attempts` counts the starts of what is due since then,
    and `ended_at` is None while the last one goes on, or if it was killed. `exit_code` is None if none has ended.
    """

    since: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    exit_code: int | None = None
    finding: str = ""
    attempts: int = 0

    def started(self, now: datetime) -> WorkRecord:
        """Return the record of work that starts now."""
        return replace(self, started_at=now, ended_at=None, finding="", attempts=self.attempts + 1)

    def ended(self, now: datetime, *, exit_code: int, finding: str) -> WorkRecord:
        """Return the record of work that has ended; every moment of the schedule until its start is done with it."""
        return replace(
            self, since=self.started_at or now, ended_at=now, exit_code=exit_code, finding=finding, attempts=0
        )


def valid(text: str) -> str:
    """Return a schedule, or `never`. Raises ValueError for what is no schedule, or never comes."""
    if text == NEVER:
        return text
    words = re.findall(r"[A-Z]+", text.upper())
    # A sixth field, `L` and `#` are understood by this library, and not by every scheduler of a platform.
    if len(text.split()) != _FIELDS or "#" in text or not _NAMES.issuperset(words):
        raise ValueError(f"must be five fields of cron in UTC, such as 0 2 * * *, or {NEVER}")
    try:
        following(text, datetime(2024, 1, 1, tzinfo=UTC))
    except CronSimError as error:
        raise ValueError(f"is no schedule of cron: {str(error).lower()}") from None
    except StopIteration:
        raise ValueError("names a day that never comes") from None
    return text


def following(schedule: str, after: datetime) -> datetime:
    """Return the first moment of a schedule that comes after another one."""
    return next(CronSim(schedule, after))


def due(schedule: str, record: WorkRecord, now: datetime) -> bool:
    """Return whether work has to start: once, however many of its moments were missed since the last time."""
    return record.attempts < MOST_ATTEMPTS and following(schedule, record.since) <= now


def upcoming(schedule: str, record: WorkRecord, now: datetime) -> datetime:
    """Return when work is due next; a moment that is past is due now."""
    return now if due(schedule, record, now) else following(schedule, now)


def settled(record: WorkRecord, now: datetime) -> WorkRecord:
    """Return the record by which work is due from now on, while it does not run.

    Work that was killed too often waits for the next moment of its schedule, and work that was done in the future for
    the next one from now: the clock was set back.
    """
    since = min(record.since, now)
    if record.attempts < MOST_ATTEMPTS or record.ended_at is not None:
        return replace(record, since=since)
    return replace(record, since=now, exit_code=None, finding=f"it was killed {MOST_ATTEMPTS} times", attempts=0)


def described(schedule: str, record: WorkRecord, now: datetime) -> str:
    """Return in a few words how the work went last, and when it is due next."""
    if record.started_at is None:
        last = "none on schedule yet"
    elif record.ended_at is None:
        last = record.finding or f"started {record.started_at:%F %T}Z, not ended"
    elif record.exit_code == 0:
        last = f"done {record.ended_at:%F %T}Z"
    else:
        last = f"failed {record.ended_at:%F %T}Z (exit code {record.exit_code}): {record.finding}"
    return f"{last}; next {upcoming(schedule, record, now):%F %H:%M}Z"
