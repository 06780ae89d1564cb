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
def test_commands_find_the_backend_of_another_program_by_its_address(backend: Example) -> None:
    """No repository and no stack file is around them: they list, verify and roll back what the address names."""
    address = ("--locator", str(backend.output("locator")))
    program = backend.project / "__main__.py"
    program.write_text(program.read_text().replace('mlflow_version="3.17.2"', 'mlflow_version="3.17.2", workers=2'))
    backend.must_up()
    count_starts(2)
    assert "PASS" in backend.command("status", *address).text
    back = backend.command("rollback", *address, "--to", "1", "--reason", "a test", "--yes")
    assert back.ok, back.text
    listed = backend.command("releases", *address)
    assert "pinned to 1" in listed.text, listed.text
    verified = backend.command("verify", *address)
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
