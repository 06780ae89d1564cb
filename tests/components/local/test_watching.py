"""The Prometheus beside a local stack: it follows the stack, and leaves nothing."""

from __future__ import annotations

import json
import subprocess
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.local import revisions, watching
from mlflow_backend.local.state import StateDir
from mlflow_backend.server.environment import metrics
from tests import apt
from tests.components.local.records import record
from tests.server.services import until

if TYPE_CHECKING:
    from pathlib import Path

DEADLINE_S = 60


@pytest.fixture
def state(tmp_path: Path) -> StateDir:
    """A stack without a server."""
    return StateDir(tmp_path / "local")


def serve(state: StateDir, number: int) -> int:
    """Let a revision serve, and return the port of its figures."""
    found, port = record(number, port=20_000 + number), 21_000 + number
    program = replace(found.program, environment=metrics(port))
    revisions.save(state, replace(found, program=program))
    state.active.write_text(f"{found.address}\n")
    return port


def asked(state: StateDir) -> list[str]:
    """Return whom Prometheus asks."""
    (found,) = json.loads((state.monitoring / "targets.json").read_text())
    assert found["labels"] == {"stack": "local"}
    return list(found["targets"])


def test_prometheus_asks_the_server_that_serves(state: StateDir) -> None:
    """Each revision has a port of its own, and a stack that was stopped has none."""
    watching.prepare(state)
    assert asked(state) == []
    for number in (1, 2):
        port = serve(state, number)
        watching.find(state)
        assert asked(state) == [f"127.0.0.1:{port}"]
    state.active.unlink()
    watching.find(state)
    assert asked(state) == []


def test_a_machine_without_prometheus_is_told_how_to_get_it(state: StateDir, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is written then."""
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Refused) as refused, watching.watching(state):
        pass
    assert refused.value.code == "prometheus-missing"
    assert not state.monitoring.exists()


def test_a_real_prometheus_takes_the_files_and_says_that_the_server_is_down(state: StateDir) -> None:
    """It follows the stack without being started again, and ends with whoever watches."""
    if (reason := apt.why_missing(("prometheus",))) is not None:
        pytest.skip(reason)
    with watching.watching(state) as (url, process):
        pool = urllib3.PoolManager(retries=False, timeout=5)

        def answer(path: str) -> Any:
            return json.loads(pool.request("GET", f"{url}/api/v1/{path}").data)["data"]

        until(lambda: answer("rules")["groups"], what="the rules")
        names = {rule["name"] for group in answer("rules")["groups"] for rule in group["rules"]}
        assert {"MlflowServerDown", "MlflowWorkerDied"} <= names
        port = serve(state, 1)
        watching.find(state)
        found = until(lambda: answer("targets")["activeTargets"], what="the server of the new revision")
        assert [each["labels"]["instance"] for each in found] == [f"127.0.0.1:{port}"]
        assert found[0]["labels"]["stack"] == "local"
    assert process.poll() is not None
    with pytest.raises(PlatformFailed) as ended:
        watching.follow(state, process)
    assert ended.value.code == "prometheus-ended"


def test_promtool_takes_the_configuration(state: StateDir) -> None:
    """Its own check knows more than its start: files that are named and are not there."""
    if (reason := apt.why_missing({"promtool": "prometheus"})) is not None:
        pytest.skip(reason)
    watching.prepare(state)
    command = ["promtool", "check", "config", str(state.monitoring / "prometheus.json")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
