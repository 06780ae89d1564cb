"""The dynamic resources' frozen names, and when they ask for an update."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlflow_backend.local import credentials, provider, revisions
from mlflow_backend.local.state import StateDir, write
from tests.components.local.records import record

if TYPE_CHECKING:
    from pathlib import Path


STATE = {"state": "/s", "service": "cache", "passwordVersion": "v1", "condition": "running", "listens": 5}


@pytest.mark.parametrize(
    ("olds", "news", "changes"),
    [
        (STATE, {"state": "/s", "service": "cache", "passwordVersion": "v1", "listens": None}, False),
        (STATE, {"state": "/s", "service": "cache", "passwordVersion": "v2"}, True),
        (STATE | {"condition": "fatal"}, {"state": "/s", "service": "cache", "passwordVersion": "v1"}, True),
        (STATE, {"state": "/s", "service": "cache", "passwordVersion": "v1", "port": 5000}, True),
    ],
)
def test_an_update_is_asked_for_by_another_wish_or_by_what_a_refresh_found(
    olds: dict[str, object], news: dict[str, object], *, changes: bool
) -> None:
    """Outputs that are not known yet are no wish, and `running` is the only condition that needs nothing."""
    assert provider.ServiceProvider().diff("id", olds, news).changes is changes


def test_a_rollback_whose_pin_is_lifted_does_not_wait_for_a_refresh(tmp_path: Path) -> None:
    """The diff reads which revision gets the traffic, and leaves it to the update to name a file that is damaged."""
    state = StateDir(tmp_path / "stack")
    props = {"state": str(state.path), "desired": {}, "pinned": "", "revision": "2", "condition": "running"}
    wanted = {**props, "revision": None}
    for number, port, changes in ((2, 20_002, False), (1, 20_001, True)):
        revisions.save(state, record(number, port))
        write(state.active, record(number, port).address)
        assert provider.ServerProvider().diff("id", props, wanted).changes is changes
    write(state.revisions / "00001" / "revision.json", "damaged")
    assert provider.ServerProvider().diff("id", props, wanted).changes is False


def test_a_rotated_secret_does_not_wait_for_a_refresh(tmp_path: Path) -> None:
    """The diff reads the files themselves."""
    state = StateDir(tmp_path / "stack")
    made = provider.CredentialsProvider().create({"state": str(state.path)})
    assert made.outs is not None
    assert provider.CredentialsProvider().diff("id", made.outs, {"state": str(state.path)}).changes is False
    write(state.credentials / credentials.CACHE, "rotated")
    assert provider.CredentialsProvider().diff("id", made.outs, {"state": str(state.path)}).changes is True
