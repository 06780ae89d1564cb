"""The fault table: each fault, injected into a really running backend, turns the verdict, with the right cause named.

The stack is deployed by the real engine; its parts are real processes. Every row has a control run without its fault,
which is green. Two rows never share mechanism and check.
"""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.local import environment
from mlflow_backend.verify import runner
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.request import VerifyRequest
from mlflow_backend.verify.tracking import PREFIX
from tests.engine.calls import call, eventually
from tests.engine.faults import fronts, identities, parts
from tests.engine.faults.front import Front, Request
from tests.engine.faults.scene import Fault, Scene, prove, verify
from tests.engine.faults.servers import server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.engine.stack import LocalStack

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("verify-faults")]

ROOT = Path(__file__).resolve().parents[2]
FAULTS = (*parts.FAULTS, *fronts.FAULTS, *identities.FAULTS)
LEAST = 30


@pytest.fixture(scope="module")
def scene(deployed: LocalStack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Scene]:
    """The deployed stack, with certificates and with two servers on databases of their own beside it."""
    folder = tmp_path_factory.mktemp("scene")
    # MLflow's own environment brings what makes certificates; the tests' does not.
    python = environment.install("3.17.2").path / "bin" / "python"
    script = Path(fronts.__file__).with_name("certificates.py")
    subprocess.run([str(python), str(script), str(folder)], check=True, timeout=60)
    folders = {version: folder / version for version in ("2.9.2", "3.17.2")}
    for each in folders.values():
        each.mkdir()
    with server("2.9.2", folders["2.9.2"]) as old, server("3.17.2", folders["3.17.2"]) as other:
        yield Scene(stack=deployed, certificates=folder, others={"2.9.2": old, "3.17.2": other})


@pytest.fixture(autouse=True)
def tokens(monkeypatch: pytest.MonkeyPatch) -> None:
    """The credentials that the rows about access name by reference."""
    monkeypatch.setenv(fronts.TOKEN, "right")
    monkeypatch.setenv(f"{fronts.TOKEN}_WRONG", "wrong")


def test_the_table_counts_each_fault_once() -> None:
    """At least 30 rows, and no two with the same mechanism and check."""
    every = (*FAULTS, *parts.GUARDED)
    assert len({(fault.mechanism, fault.check) for fault in every}) == len(every) >= LEAST


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: fault.name)
def test_each_fault_turns_the_verdict_and_names_its_cause(scene: Scene, fault: Fault) -> None:
    """Green without the fault; with it the named check is not green, for the named cause, inside the deadline."""
    if reason := fault.skipped_unless():
        pytest.skip(reason)
    prove(scene, fault)


@pytest.mark.parametrize("table", parts.USED)
def test_a_table_that_is_gone_turns_the_check_of_its_routes(scene: Scene, table: str) -> None:
    """The routes' answers alone show it, as on a server without the plugin: each table that a check's routes use."""
    scene.sql(f"ALTER TABLE {table} RENAME TO gone")
    try:
        report = runner.run(scene.subject, VerifyRequest(profile="full", only=(parts.USED[table],), deadline_s=20))
    finally:
        scene.sql(f"ALTER TABLE gone RENAME TO {table}")
    codes = [check.code for check in report.checks if check.result is Result.FAIL and check.name != "cleanup"]
    assert codes, report.text()
    assert set(codes) == {"schema-mismatch"}, report.text()


def test_the_server_knows_every_table_of_its_database(scene: Scene) -> None:
    """None is missing in what the plugin asks for, so that the loss of each shows."""
    (count,) = scene.sql("SELECT count(*) - 1 FROM pg_tables WHERE schemaname = 'public'")[0]
    eventually(
        lambda: f"all {count} tables" in database_of(scene),
        within_s=30,
        what=f"the server says that it has {count} tables",
    )


def database_of(scene: Scene) -> str:
    """What the server says of its database; it keeps for some seconds what it knows, that a table was gone too."""
    try:
        with urllib.request.urlopen(f"{scene.subject.url}/health/components", timeout=10) as answer:
            return str(json.load(answer)["components"]["database"]["detail"])
    except urllib.error.HTTPError as degraded:
        return str(json.load(degraded)["components"]["database"]["detail"])


def test_a_killed_verification_is_swept_by_the_next(scene: Scene) -> None:
    """SIGKILL in the middle leaves an experiment with its run; once abandoned, the next verification removes it."""
    reached, never = threading.Event(), threading.Event()

    def hold(request: Request) -> Request:
        if "log-metric" in request.path and not reached.is_set():
            reached.set()
            never.wait()
        return request

    before = ours(scene.subject.url)
    with Front(("127.0.0.1", scene.port)) as front:
        front.before = hold
        line = [sys.executable, str(ROOT / "scripts" / "verify.py"), front.url, "--deadline", "6"]
        verifier = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        assert reached.wait(timeout=30)
        verifier.kill()
        verifier.wait(timeout=10)
        never.set()
    (left,) = ours(scene.subject.url) - before
    # Not before twice its deadline: until then it might still run.
    eventually(lambda: left not in ours_after_a_verification(scene), within_s=60, what=f"{left} is swept")


def test_every_verdict_leaves_nothing_behind(scene: Scene) -> None:
    """After all of this no experiment of a verification is left, though some backends hung while it cleaned up.

    Theirs are marked as deleted, for maintenance to remove, as what users have deleted is.
    """
    theirs = f"theirs-{time.time_ns()}"
    made = call(scene.subject.url, "experiments/create", {"name": theirs})["experiment_id"]
    run = call(scene.subject.url, "runs/create", {"experiment_id": made})["run"]["info"]["run_id"]
    call(scene.subject.url, "runs/log-metric", {"run_id": run, "key": "loss", "value": 1.0, "timestamp": 1})
    call(scene.subject.url, "experiments/delete", {"experiment_id": made})
    eventually(lambda: not ours_after_a_verification(scene), within_s=90, what="all leftovers are swept")
    verify(scene.subject)
    stages = {str(name): stage for name, stage in scene.sql("SELECT name, lifecycle_stage FROM experiments")}
    assert stages[theirs] == "deleted"
    assert {stage for name, stage in stages.items() if name.startswith(PREFIX)} == {"deleted"}
    assert scene.sql(f"SELECT count(*) FROM metrics WHERE run_uuid = '{run}'") == [(1,)]  # noqa: S608 - MLflow's own id


def ours(url: str) -> set[str]:
    """The experiments of verifications that are there now."""
    found = call(url, "experiments/search", {"max_results": 100, "filter": f"name LIKE '{PREFIX}/%'"})
    return {experiment["name"] for experiment in found.get("experiments", [])}


def ours_after_a_verification(scene: Scene) -> set[str]:
    """What is left after one more verification, which sweeps."""
    runner.run(scene.subject, VerifyRequest(only=("experiment",)))
    return ours(scene.subject.url)
