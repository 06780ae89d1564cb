"""Schedules of work that repeats: which are valid, and when work is due after it was missed, failed or was killed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from mlflow_backend import schedules
from mlflow_backend.schedules import MOST_ATTEMPTS, NEVER, WorkRecord

NIGHTLY = "0 2 * * *"
NOON = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)


def at(day: int, hour: int, minute: int = 0) -> datetime:
    """Return a moment of March."""
    return datetime(2026, 3, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize("text", [NIGHTLY, "*/15 * * * *", "0 4 * * SUN", "0 0 29 2 *", "30 1 1,15 JAN-JUN 1-5", NEVER])
def test_a_schedule_of_cron_is_valid(text: str) -> None:
    """It is taken as it was written."""
    assert schedules.valid(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "daily",
        "@daily",
        "0 2 * *",
        "0 0 2 * * *",
        "60 2 * * *",
        "0 2 30 2 *",
        "0 2 L * *",
        "0 2 * * 5#2",
        "0 2 * * 9",
    ],
)
def test_what_is_no_schedule_or_never_comes_is_refused(text: str) -> None:
    """Six fields, `L` and `#` are this library's own, and a scheduler of a platform would read them otherwise."""
    with pytest.raises(ValueError, match=r"must be five fields|is no schedule|never comes"):
        schedules.valid(text)


@pytest.mark.parametrize(
    ("record", "due", "upcoming"),
    [
        (WorkRecord(since=at(10, 3)), False, at(11, 2)),
        (WorkRecord(since=at(10, 1)), True, NOON),
        (WorkRecord(since=at(1, 1)), True, NOON),
        (WorkRecord(since=at(10, 1), started_at=at(10, 2), attempts=1), True, NOON),
        (WorkRecord(since=at(10, 1), started_at=at(10, 2), attempts=MOST_ATTEMPTS), False, at(11, 2)),
    ],
    ids=["done", "missed", "missed often", "killed once", "killed too often"],
)
def test_work_is_due_once_for_all_that_was_missed(record: WorkRecord, due: bool, upcoming: datetime) -> None:  # noqa: FBT001
    """A machine that was off for a week takes one backup, and one that a backup kills does not take it for ever."""
    assert schedules.due(NIGHTLY, record, NOON) is due
    assert schedules.upcoming(NIGHTLY, record, NOON) == upcoming


def test_work_that_has_ended_waits_for_its_next_moment_however_it_ended() -> None:
    """Its moments until its start are done with; one that came while it ran is due."""
    ended = WorkRecord(since=at(1, 1)).started(NOON).ended(NOON + timedelta(hours=1), exit_code=4, finding="disk full")
    assert (ended.since, ended.attempts) == (NOON, 0)
    assert not schedules.due(NIGHTLY, ended, at(11, 1, 59))
    assert schedules.due(NIGHTLY, ended, at(11, 2))
    assert "exit code 4): disk full; next 2026-03-11 02:00Z" in schedules.described(NIGHTLY, ended, NOON)


def test_work_that_was_killed_too_often_is_given_up_until_its_next_moment() -> None:
    """One that has ended or may be tried again is left as it is."""
    killed = WorkRecord(since=at(1, 1))
    for _ in range(MOST_ATTEMPTS):
        assert schedules.settled(killed, NOON) == killed
        killed = killed.started(at(10, 2))
    given_up = schedules.settled(killed, NOON)
    assert not schedules.due(NIGHTLY, given_up, at(11, 1))
    assert schedules.due(NIGHTLY, given_up, at(11, 2))
    assert "killed" in schedules.described(NIGHTLY, given_up, NOON)
    assert given_up.started(at(11, 2)).finding == ""


def test_work_that_was_done_in_the_future_is_due_at_the_next_moment_from_now() -> None:
    """A clock that was wrong for an hour does not keep a stack from being backed up for years."""
    done = WorkRecord(since=NOON + timedelta(days=900), ended_at=NOON + timedelta(days=900))
    assert not schedules.due(NIGHTLY, done, at(11, 2))
    settled = schedules.settled(done, NOON)
    assert not schedules.due(NIGHTLY, settled, NOON)
    assert schedules.due(NIGHTLY, settled, at(11, 2))


def test_people_read_how_work_went() -> None:
    """What never ran is not said to be well."""
    record = WorkRecord(since=at(10, 3))
    assert schedules.described(NIGHTLY, record, NOON).startswith("none on schedule yet; next 2026-03-11 02:00Z")
    started = record.started(at(10, 4))
    assert "not ended" in schedules.described(NIGHTLY, started, NOON)
    done = started.ended(at(10, 5), exit_code=0, finding="")
    assert schedules.described(NIGHTLY, done, NOON).startswith("done 2026-03-10 05:00:00Z")
