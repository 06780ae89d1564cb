"""Other people's programs on this machine, deployed from the wheel, and the commands that find what they deployed."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from mlflow_backend.local import processes
from mlflow_backend.local.state import StateDir
from mlflow_backend.local.supervisor import Supervisor
from tests.engine import wheel
from tests.engine.stack import count_starts
from tests.engine.wheel import TIMEOUT_S, Example

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.engine


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The environment that holds the wheel."""
    return wheel.install(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def backend(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    """A backend that somebody else's program deployed on this machine."""
    program = Example(tmp_path_factory.mktemp("backend"), "local_backend", environment)
    state = StateDir(program.project / ".backend" / "mine")
    try:
        program.must_up()
        count_starts(1)
        yield program
        ended = program.destroy()
        assert ended.ok, ended.text
        assert not processes.marked(str(state.path))
    finally:
        processes.end(processes.marked(str(state.path)), timeout_s=5)


@pytest.mark.timeout(3 * TIMEOUT_S)
def test_commands_find_the_backend_of_another_program(backend: Example) -> None:
    """The package says what runs, and verifies it, without a repository around it."""
    (backend.project / "Pulumi.mine.yaml").write_text("config: {mlflow-backend:target: local}\n", encoding="utf-8")
    assert "PASS" in backend.command("status", "--stack", "mine").text
    assert "3.17.2" in backend.command("releases", "--stack", "mine").text
    verified = backend.command("verify", "--stack", "mine")
    assert verified.ok, verified.text


@pytest.mark.timeout(2 * TIMEOUT_S)
def test_a_verification_alone_is_red_as_soon_as_mlflow_is(backend: Example, environment: Path, tmp_path: Path) -> None:
    """An MLflow that somebody else deploys is verified in each update: green while it works, and only then."""
    watch = Example(tmp_path, "verification", environment)
    assert watch.pulumi("config", "set", "trackingUrl", str(backend.output("trackingUrl"))).ok
    watch.must_up()
    supervisor = Supervisor(StateDir(backend.project / ".backend" / "mine"))
    supervisor._call("stopProcess", "database")
    try:
        second = watch.up()
        assert not second.ok
        assert "does not pass its verification" in second.text
    finally:
        supervisor._call("startProcess", "database", True)
