"""A deployment under slow requests loses none of them; without the drain delay it does, so that the test can fail."""

from __future__ import annotations

import threading
from collections import Counter
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

import pytest
import urllib3

from tests.rig.aws.scene import Scene
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rig.aws.rig import AwsRig

_CALLERS: Final = 6
# Seconds of the clock: longer than the requests, so that a delay would be seen.
_DRAIN_S: Final = 300


@pytest.fixture(scope="module")
def scene(rig: AwsRig) -> Scene:
    """A service of two tasks that serves."""
    made = Scene(rig, drain_s=_DRAIN_S)
    made.serve(made.register(made.image()))
    made.settled()
    return made


@contextmanager
def load(scene: Scene, *, seconds: float) -> Iterator[Counter[int]]:
    """Call the server all the time, by connections that are kept; count the answers by status, 0 for none."""
    over, statuses = threading.Event(), Counter[int]()
    pool = urllib3.PoolManager(retries=False, maxsize=_CALLERS, timeout=60)

    def call() -> None:
        while not over.is_set():
            try:
                statuses[pool.request("GET", f"{scene.url}/slow?seconds={seconds}").status] += 1
            except urllib3.exceptions.HTTPError:
                statuses[0] += 1

    callers = [threading.Thread(target=call) for _ in range(_CALLERS)]
    for caller in callers:
        caller.start()
    try:
        yield statuses
    finally:
        over.set()
        for caller in callers:
            caller.join()
        pool.clear()


def replaced_under_load(scene: Scene) -> Counter[int]:
    """Replace every task while it is called, and return the answers."""
    revision = scene.register(scene.image())
    with load(scene, seconds=1.0) as statuses:
        until(lambda: statuses[200] > _CALLERS, what="answers before the deployment")
        scene.update(revision)
        scene.settled()
        served = statuses[200]
        until(lambda: statuses[200] > served + _CALLERS, what="answers after the deployment")
    assert scene.running() == [revision, revision]
    return statuses


def test_no_request_is_lost(scene: Scene) -> None:
    """All requests that were under way end well, and connections are used again over the whole deployment."""
    scene.drain(_DRAIN_S)
    assert set(replaced_under_load(scene)) == {200}


def test_without_the_delay_requests_are_lost(scene: Scene) -> None:
    """The control: the same deployment, with targets cut at once."""
    scene.drain(0)
    statuses = replaced_under_load(scene)
    assert statuses[502], statuses
