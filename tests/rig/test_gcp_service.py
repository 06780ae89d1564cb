"""A service on Cloud Run that has been deployed for long: cold starts, refused callers, and changed passwords.

Real MLflow by the real engine on the rig, behind Google's own check of callers, with data that are protected and no
instance that stays warm. The tests stand in the order of a life, and share its deployment.
"""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psycopg2
import pytest

from mlflow_backend.contract import ExitCode
from mlflow_backend.gcp.render.secrets import DATABASE_PASSWORD
from tests.rig.clock import SERVERS
from tests.rig.gcp import team
from tests.rig.gcp.life import CALLER, Life, account, begin
from tests.rig.gcp.rig import GcpRig
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.full, pytest.mark.slow, pytest.mark.timeout(1200)]

VERSION = "3.10.1"
GATE: Final = Path(__file__).resolve().parents[2] / "client" / "mlflow_backend_gate.py"
_RUNS = 3
_SOON_S = 180
# Of the same file: a dead server is not waited for four minutes.
_HASTY: Final = "import runpy, sys; g = runpy.run_path(sys.argv[1]); s = g['main'].__globals__; "
_HASTY_RUN: Final = "s['PAUSES_S'], s['TRY_S'] = (0.1,) * 4, 1.0; sys.exit(g['main'](sys.argv[2:]))"


@pytest.fixture(scope="module")
def life(containers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Life]:
    """The stack, not deployed yet, in a project in which somebody may call it."""
    folder = tmp_path_factory.mktemp("gcp-service")
    with GcpRig(folder, SERVERS) as rig:
        principals = [f"serviceAccount:{account(rig, CALLER)}"]
        yield begin(
            folder,
            rig,
            VERSION,
            access={"mode": "cloudIdentity"},
            backup={"protect": True},
            gcp={"service": {"minInstances": 0}, "access": {"identity": "iam", "principals": principals}},
        )


def status(life: Life, token: str, *, header: str = "Authorization") -> int:
    """Return how MLflow's own route is answered to a token, '' for none."""
    headers = {header: f"Bearer {token}"} if token else {}
    url = f"{life.naming.url()}/api/2.0/mlflow/experiments/get?experiment_id=0"
    return int(life.rig.ask(url, headers=headers).status)


def gate(life: Life, output: Path, *arguments: str, hasty: bool = False) -> subprocess.CompletedProcess[str]:
    """Run the gate as a pipeline of the project does: the one file, whose login is the machine's own account."""
    how = ["-c", f"{_HASTY}{_HASTY_RUN}"] if hasty else []
    command = [sys.executable, "-I", "-S", *how, str(GATE), life.naming.url(), "--audience", life.naming.url()]
    machine = life.rig.metadata.variables(account(life.rig, CALLER))
    return subprocess.run(
        life.rig.command(*command, "--output", str(output), "--ca-file", str(life.rig.authority.bundle), *arguments),
        env={**machine, "PATH": "/usr/bin:/bin:/usr/sbin:/sbin"},
        capture_output=True,
        text=True,
        timeout=_SOON_S,
        check=False,
    )


def stage(output: Path) -> str:
    """Return how far the gate came, by the file that it left."""
    return str(json.loads((output / "mlflow_status.json").read_text())["stage"])


def no_instance(life: Life) -> None:
    """Wait until nothing runs: the last instance was idle for long enough."""
    until(lambda: life.rig.live == [], what="the end of the idle instances", deadline_s=_SOON_S)


def test_doctor_names_what_is_missing(life: Life) -> None:
    """In a project with nothing each permission that the deployer lacks is named; with all of them nothing is."""
    life.rig.account.granted = frozenset({"resourcemanager.projects.get"})
    try:
        bare = life.stack.script("doctor")
    finally:
        life.rig.account.granted = None
    assert bare.code not in {ExitCode.DONE, ExitCode.USAGE}, bare.text
    assert "run.services.create" in bare.text
    assert "cloudsql.instances.create" in bare.text
    whole = life.stack.script("doctor")
    assert whole.code == ExitCode.DONE, whole.text
    assert "run.googleapis.com" in whole.text, "which APIs the update will enable"


def test_a_first_update_is_verified_although_nothing_stays_warm(life: Life) -> None:
    """By a token of the account that verifies, through Google's check."""
    life.stack.must_up()
    outputs = life.stack.outputs()
    assert outputs["verification"]["verdict"] == "pass"
    assert outputs["release"]["mlflowVersion"] == VERSION
    assert f"export MLFLOW_BACKEND_AUDIENCE={life.naming.url()}" in outputs["client"]
    life.write(_RUNS)


def test_doctor_finds_a_deployed_project_in_order(life: Life) -> None:
    """The same command after the update: no API is left to enable."""
    found = life.stack.script("doctor")
    assert found.code == ExitCode.DONE, found.text
    assert "will enable" not in found.text


def test_only_a_token_for_this_service_gets_in(life: Life) -> None:
    """Each thing that is wrong alone, and a control, against the deployed server."""
    who, url, identity = account(life.rig, CALLER), life.naming.url(), life.rig.tokens.identity
    found = {
        "right": status(life, identity(who, url)),
        "in the second header": status(life, identity(who, url), header="X-Serverless-Authorization"),
        "none": status(life, ""),
        "for somebody else": status(life, identity(who, "https://other.example")),
        "expired": status(life, identity(who, url, lifetime_s=-1)),
        "of no caller": status(life, identity(account(life.rig, "somebody"), url)),
    }
    assert found == {
        "right": 200, "in the second header": 200, "none": 403, "for somebody else": 401, "expired": 401,
        "of no caller": 403,
    }  # fmt: skip


def test_status_measures_whether_an_instance_is_warm(life: Life) -> None:
    """Nothing stays warm, and nothing runs: MLflow is started for the first question, and answers the next at once."""
    no_instance(life)
    cold, warm = (life.stack.script("status").text for _ in range(2))
    assert "0 of at most" in cold
    assert re.search(r"first answer.*\bcold\b", cold), cold
    assert re.search(r"first answer.*\bwarm\b", warm), warm


def test_a_training_waits_for_a_cold_start(life: Life, tmp_path: Path) -> None:
    """Nothing runs, and the gate opens all the same, with a run that the server knows."""
    no_instance(life)
    opened = gate(life, tmp_path, "--experiment", "trained")
    assert opened.returncode == 0, opened.stderr
    assert stage(tmp_path) == "initialized"
    run = json.loads((tmp_path / "mlflow_info.json").read_text())["run_id"]
    made = life.call("runs/update", {"run_id": run, "status": "FINISHED"})
    assert made["run_info"]["status"] == "FINISHED"


def test_no_training_begins_without_its_server(life: Life, tmp_path: Path) -> None:
    """A service whose instances were ended and do not come: the gate stays closed, and both files say so."""
    body = {"scaling": {"scalingMode": "MANUAL", "manualInstanceCount": 0}}
    path = f"v2/{life.naming.parent}/services/{life.naming.service()}"
    before = life.service["scaling"]
    life.rig.call("PATCH", path, body, updateMask="scaling")
    no_instance(life)
    try:
        closed = gate(life, tmp_path, hasty=True)
    finally:
        life.rig.call("PATCH", path, {"scaling": {**before, "scalingMode": "AUTOMATIC"}}, updateMask="scaling")
    assert closed.returncode == 1, closed.stdout
    assert stage(tmp_path) == "failed"
    assert json.loads((tmp_path / "mlflow_info.json").read_text())["run_id"] is None


def test_a_changed_database_password_is_taken_over(life: Life) -> None:
    """By the next update, in a revision of its own; what knew the old one is let in no more."""
    life.kept["first"] = life.serving()
    name, who = life.naming.secret(DATABASE_PASSWORD), life.rig.tokens.administrator
    old = life.rig.secrets.read(name, "latest", reader=who)
    team.add_version(life.rig, name, secrets.token_hex(32))
    life.stack.must_up()
    life.kept["old"] = life.serving()
    assert life.kept["old"] != life.kept["first"]
    assert life.runs() == life.kept["before"]
    (engine,) = life.rig.databases.running.values()
    with pytest.raises(psycopg2.OperationalError):
        engine.execute("mlflow", "SELECT 1", user="mlflow", password=old)


def test_a_minimum_that_somebody_gave_a_revision_is_taken_away(life: Life) -> None:
    """It would be billed for as long as the revision has traffic or a tag: the next update serves without one."""
    verified, path = life.serving(), f"v2/{life.naming.parent}/services/{life.naming.service()}"
    template = {key: each for key, each in life.service["template"].items() if key != "revision"}
    body = {
        "template": {**template, "scaling": {**template["scaling"], "minInstanceCount": 1}},
        "traffic": [{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100}],
    }
    life.rig.call("PATCH", path, body, updateMask="template,traffic")
    until(lambda: life.serving() != verified, what="the revision of somebody else", deadline_s=_SOON_S)
    foreign = life.serving()
    assert life.rig.call("GET", f"{path}/revisions/{foreign}")["scaling"]["minInstanceCount"] == 1
    assert "the revision itself keeps 1" in life.stack.script("status").text
    updated = life.stack.up("--refresh")
    assert updated.ok, updated.text
    assert life.serving() == verified
    assert foreign not in life.tags()
    assert not life.service["template"]["scaling"].get("minInstanceCount")
    no_instance(life)
