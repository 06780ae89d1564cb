"""The Prometheus beside a local stack: it follows the stack, and leaves nothing."""

from __future__ import annotations

import json
import shutil
import subprocess
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest
import urllib3

from mlflow_backend.codec import to_document
from mlflow_backend.contract import PlatformFailed, Refused
from mlflow_backend.local import revisions, timed, timer, watching, whole
from mlflow_backend.local.naming import ARTIFACT_ROOT
from mlflow_backend.local.state import StateDir
from mlflow_backend.schedules import WorkRecord
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
    found, whole = json.loads((state.monitoring / "targets.json").read_text())
    assert (found["labels"], whole["labels"]) == ({"stack": "local"}, {"stack": "local", "part": "stack"})
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
    state.path.mkdir()
    state.report.write_text('{"verdict": "fail"}')
    with watching.watching(state) as (url, process):
        pool = urllib3.PoolManager(retries=False, timeout=5)

        def answer(path: str) -> Any:
            return json.loads(pool.request("GET", f"{url}/api/v1/{path}").data)["data"]

        until(lambda: answer("rules")["groups"], what="the rules")
        names = {rule["name"] for group in answer("rules")["groups"] for rule in group["rules"]}
        assert {"MlflowServerDown", "MlflowWorkerDied"} <= names
        port = serve(state, 1)
        watching.find(state)

        def asked() -> bool:
            found = {each["labels"]["instance"]: each for each in answer("targets")["activeTargets"]}
            return f"127.0.0.1:{port}" in found and found[whole.address(state)]["health"] == "up"

        until(asked, what="the server of the new revision, and the stack's own figures")
        value = answer("query?query=mlflow_backend_verification_passed")["result"]
        assert [each["metric"]["stack"] for each in value] == ["local"]
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


def test_the_stacks_figures_are_of_its_report_and_of_the_work_that_is_wanted(state: StateDir) -> None:
    """Work that is scheduled no more has an old record, of which nobody must be told for ever."""
    assert whole.text(state) == ""
    done, since = datetime(2026, 11, 28, 2, tzinfo=UTC), datetime(2026, 11, 1, tzinfo=UTC)
    records = {
        "backup": WorkRecord(since=since, started_at=done, ended_at=done, exit_code=0),
        "drill": WorkRecord(since=since, started_at=done, ended_at=done, exit_code=1, finding="damaged"),
        "former": WorkRecord(since=since),
    }
    works = [to_document(timed.Work(name=name, schedule="0 2 * * *", commands=())) for name in ("backup", "drill")]
    state.programs.mkdir(parents=True)
    program = timed.program(state, state.path, works)
    (state.programs / f"{timed.PROGRAM}.json").write_text(json.dumps(to_document(program)))
    state.timer.write_text(json.dumps({name: to_document(record) for name, record in records.items()}))
    state.report.write_text('{"verdict": "pass"}')
    assert [each.name for each in timer.wanted(state)] == ["backup", "drill"]
    assert whole.text(state).splitlines() == [
        "mlflow_backend_verification_passed 1",
        f'mlflow_backend_work_done_time_seconds{{work="backup"}} {done.timestamp()}',
        'mlflow_backend_work_failed{work="backup"} 0',
        f'mlflow_backend_work_done_time_seconds{{work="drill"}} {since.timestamp()}',
        'mlflow_backend_work_failed{work="drill"} 1',
    ]


def test_the_disk_and_the_artifacts_on_it_have_figures(state: StateDir) -> None:
    """A disk that fills up stops Postgres, and with it everything."""
    path = state.store / ARTIFACT_ROOT.removeprefix("s3://") / "1/run/artifacts/note.txt"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"12345")
    found = dict(line.rsplit(" ", 1) for line in whole.text(state).splitlines())
    assert found["mlflow_backend_artifact_bytes"] == "5"
    used, free = (int(found[f'mlflow_backend_disk_bytes{{state="{each}"}}']) for each in ("used", "free"))
    assert 0 < used + free <= shutil.disk_usage(state.store).total
