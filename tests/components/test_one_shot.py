"""The waits for a one-shot task: whose time runs from when, and when a log is whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.one_shot import START_S, Seen, await_end, whole_log
from mlflow_backend.pace import Pace

if TYPE_CHECKING:
    from collections.abc import Callable

_POLL_S = 2.0


class Clock:
    """A clock that moves only when somebody pauses."""

    def __init__(self) -> None:
        """Begin at 0."""
        self.now = 0.0

    def pace(self) -> Pace:
        """Return the pace that it sets."""
        return Pace(clock=lambda: self.now, pause=self._pass, poll_s=_POLL_S)

    def _pass(self, seconds: float) -> None:
        self.now += seconds


def _overdue(why: str) -> PlatformFailed:
    return PlatformFailed(why, code="overdue")


def _task(clock: Clock, *, begins: float, ends: float) -> Callable[[], Seen[str]]:
    return lambda: Seen(begun=clock.now >= begins, ended="done" if clock.now >= ends else None)


@pytest.mark.parametrize(
    ("begins", "ends", "limit"),
    [
        pytest.param(START_S - 10, START_S + 40, None, id="the start does not count against the deadline"),
        pytest.param(START_S + 40, START_S + 50, START_S, id="it never began"),
        pytest.param(10, 200, 10 + 60, id="it never ended"),
        pytest.param(START_S + 40, 20, None, id="it ended without having begun"),
    ],
)
def test_a_task_has_its_start_and_then_its_deadline(begins: float, ends: float, limit: float | None) -> None:
    """A large image may take minutes to be pulled, and a command that hangs may not go on."""
    clock = Clock()
    look = _task(clock, begins=begins, ends=ends)
    if limit is None:
        assert await_end(look, pace=clock.pace(), deadline_s=60, overdue=_overdue) == "done"
        assert ends <= clock.now < ends + 2 * _POLL_S
        return
    with pytest.raises(PlatformFailed) as raised:
        await_end(look, pace=clock.pace(), deadline_s=60, overdue=_overdue)
    assert raised.value.code == "overdue"
    assert limit <= clock.now < limit + 2 * _POLL_S


def test_a_log_is_read_until_it_is_whole() -> None:
    """The last lines come after the end."""
    clock, pages = Clock(), iter([["a"], [], ["a", "b"]])
    assert whole_log(lambda: next(pages), lambda lines: "b" in lines, pace=clock.pace(), lag_s=20) == ("a", "b")
    assert clock.now < _POLL_S


def test_a_log_that_never_is_whole_is_given_as_it_was_longest() -> None:
    """A platform may show fewer lines than before."""
    clock, pages = Clock(), iter([["a", "b"], *[["a"]] * 100])
    assert whole_log(lambda: next(pages), lambda _: False, pace=clock.pace(), lag_s=20) == ("a", "b")
    assert clock.now >= 20
