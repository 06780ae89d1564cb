"""What is refused before a server is started."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from components.contract import Refused
from components.local import holding, switch
from components.local.releases import LocalReleases
from components.local.state import LocalFailure, StateDir
from components.migrate import resource
from tests.components.local.test_state import record

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    """A stack's folder."""
    return StateDir(tmp_path / "stack")


def test_no_server_is_started_where_the_schema_cannot_be_read(state: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """A database that is away may come back at an older schema, which MLflow would migrate: refused, nothing begun."""
    monkeypatch.setattr(switch, "_DATABASE_WAIT_S", 0.1)
    with pytest.raises(LocalFailure, match="does not answer, so it is not known"):
        switch.activate(state, record(1), drain_s=0)
    assert not state.programs.exists()


def test_an_update_does_nothing_while_a_rollback_is_on_its_way(state: StateDir) -> None:
    """It may have read the ledger before the rollback began: asked again where it migrates and where it switches."""
    LocalReleases(state).rollback.write({"to": "1", "begun": "2026-11-21T12:00:00+00:00"})
    with pytest.raises(Refused, match="rollback to revision 1"):
        holding.refuse_overtaken(state, {})
    locator = {"kind": "local", "state": str(state.path)}
    with pytest.raises(Refused, match="rollback to revision 1"):
        resource.run({"locator": locator, "mlflowVersion": "3.4.0", "onFailure": "stop"})
