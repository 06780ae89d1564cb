"""The life of a local stack on the real engine with real processes: up, nothing to do, crashes, down, up again."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import psutil
import pytest

from mlflow_backend.commands import preview
from mlflow_backend.contract import ExitCode
from mlflow_backend.local import credentials, ports, processes, revisions, services
from mlflow_backend.local.platform import LocalPlatform
from mlflow_backend.local.supervisor import Supervisor
from tests.engine.calls import call, eventually

if TYPE_CHECKING:
    from tests.engine.stack import LocalStack

pytestmark = [pytest.mark.engine, pytest.mark.xdist_group("local-life")]

PARTS = ("database", "cache", "store", "front")


def test_first_up_is_verified_and_shows_a_client_what_it_needs(deployed: LocalStack) -> None:
    """A green first `up` gives the URL, the verdict as a table and the two client lines, and a client can log."""
    parts = LocalPlatform(deployed.state).parts()
    assert {part.state for part in parts if part.name != "metrics"} == {"running"}
    verification = deployed.output("verification")
    assert verification["verdict"] == "pass"
    assert any("metric-history" in line for line in verification["table"])
    assert deployed.output("client")[0].endswith(deployed.output("trackingUrl"))
    made = call(deployed.output("trackingUrl"), "experiments/create", {"name": "from a client"})
    assert call(deployed.output("trackingUrl"), f"experiments/get?experiment_id={made['experiment_id']}")["experiment"]


def test_everything_listens_on_loopback_only(deployed: LocalStack) -> None:
    """No process of the stack accepts a connection from another machine."""
    listening = {
        connection.laddr.ip
        for process in deployed.processes()
        for connection in process.net_connections(kind="inet")
        if connection.status == psutil.CONN_LISTEN
    }
    assert listening == {ports.LOOPBACK}


def test_no_secret_stands_in_state_argv_manifests_logs_or_reports(deployed: LocalStack) -> None:
    """Secrets are in the credential files and nowhere else that a person or a tool reads."""
    told = {credentials.STORE_ACCEPTED, credentials.ADMIN_USER}  # names, not secrets: the keys' own files are looked at
    values = [p.read_text().strip() for p in deployed.state.credentials.iterdir() if p.name not in told]
    assert len(values) > 5
    exported = deployed.pulumi("stack", "export", "--stack", deployed.name).text
    arguments = " ".join(part for process in deployed.processes() for part in process.cmdline())
    folders = (deployed.state.programs, deployed.state.revisions, deployed.state.logs)
    files = [p for folder in folders for p in folder.rglob("*") if p.is_file()]
    kept = " ".join(p.read_text(errors="replace") for p in (*files, deployed.state.report))
    for place, text in {"state": exported, "argv": arguments, "files": kept}.items():
        assert not [value for value in values if value in text], f"a secret stands in {place}"


def test_credential_files_are_private(deployed: LocalStack) -> None:
    """Only the user can read the credentials, and the daemon's configuration, which holds its password."""
    files = [*deployed.state.credentials.iterdir(), deployed.state.supervisor / "supervisord.conf"]
    assert {oct(path.stat().st_mode & 0o777) for path in files} == {"0o600"}


@pytest.mark.parametrize("part", PARTS)
def test_a_killed_part_is_back_in_seconds_and_is_no_drift(deployed: LocalStack, part: str) -> None:
    """Kill -9 of a part is fixed by the supervisor, not by Pulumi: the next refreshing `up` finds no change in it."""
    victim = Supervisor(deployed.state).status(part)
    assert victim is not None
    psutil.Process(victim.pid).kill()
    eventually(
        lambda: (
            (found := Supervisor(deployed.state).status(part)) is not None
            and found.state == "RUNNING"
            and found.pid != victim.pid
        ),
        within_s=20,
        what=f"{part} restarted",
    )
    text = deployed.must_up("--refresh").text
    assert f"mlflow-{part} updat" not in text, text
    assert deployed.output("verification")["verdict"] == "pass"


def test_a_killed_server_leaves_no_orphan_and_comes_back(deployed: LocalStack) -> None:
    """Kill -9 of the launcher leaves MLflow's processes without a parent; the restart ends them first."""
    (record, *_) = revisions.list_all(deployed.state)
    name = record.program.name
    before = {p.pid for p in deployed.processes(name)}
    launcher = Supervisor(deployed.state).status(name)
    assert launcher is not None
    psutil.Process(launcher.pid).kill()

    def only_new_ones() -> bool:
        alive = {p.pid for p in deployed.processes(name)}
        return bool(alive) and not before & alive

    eventually(only_new_ones, within_s=20, what="orphans ended")
    eventually(lambda: ports.listens(record.port), within_s=60, what="server is back")
    assert deployed.must_up("--refresh").ok
    assert deployed.output("verification")["verdict"] == "pass"


def test_a_part_that_was_given_up_is_drift_and_the_next_up_mends_it(
    deployed: LocalStack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A child in a final state of the supervisor is reported by a refreshing preview, and started by the update."""
    supervisor = Supervisor(deployed.state)
    supervisor._call("stopProcess", "cache")
    assert services.condition(deployed.state, "cache", {}) == "stopped"
    monkeypatch.chdir(deployed.project)
    for name, value in deployed.environment.items():
        monkeypatch.setenv(name, value)
    assert preview.main(["--stack", deployed.name, "--refresh", "--json", "--detailed-exit-code"]) is ExitCode.CHANGES
    document = json.loads(capsys.readouterr().out)
    drift = {each["name"]: (each["gone"], each["properties"]) for each in document["drift"]}
    assert drift == {"mlflow-cache": (False, ["condition"])}
    assert ("mlflow-cache", "update") in {(each["name"], each["operation"]) for each in document["changes"]}
    text = deployed.must_up("--refresh").text
    assert "mlflow-cache updated" in text, text
    assert "mlflow-database updated" not in text, text
    assert services.condition(deployed.state, "cache", {}) == services.RUNNING


def test_a_changed_argv_is_drift_and_the_next_up_mends_it(deployed: LocalStack) -> None:
    """A program that somebody restarted with other arguments is seen by a refresh and put right."""
    manifest = deployed.state.programs / "cache.json"
    document = json.loads(manifest.read_text())
    document["argv"] += ["--maxmemory", "1mb"]
    manifest.write_text(json.dumps(document))
    supervisor = Supervisor(deployed.state)
    supervisor._call("stopProcess", "cache")
    supervisor._call("startProcess", "cache")
    assert "updated" in deployed.must_up("--refresh").text
    running = supervisor.status("cache")
    assert running is not None
    assert "--maxmemory" not in processes.command_line(running.pid)


def test_a_dead_supervisor_is_drift_and_the_next_up_mends_it(deployed: LocalStack) -> None:
    """Kill -9 of the daemon leaves its children unwatched; the next refreshing `up` ends them and starts all anew."""
    daemon = psutil.Process(int((deployed.state.supervisor / "supervisord.pid").read_text()))
    orphans = {p.pid for p in deployed.processes()} - {daemon.pid}
    daemon.kill()
    deployed.must_up("--refresh")
    assert deployed.output("verification")["verdict"] == "pass"
    assert not orphans & {p.pid for p in deployed.processes()}
    for part in PARTS:
        assert len([p for p in deployed.processes(part) if p.ppid() != 0]) >= 1


def test_down_leaves_no_process_and_no_port_and_up_finds_the_data_again(deployed: LocalStack) -> None:
    """`destroy` ends everything and keeps the data; the next `up` serves what was logged, on the same port."""
    made = call(deployed.output("trackingUrl"), "experiments/create", {"name": "kept over destroy"})
    url, known = deployed.output("trackingUrl"), ports.known(deployed.state)
    assert deployed.destroy().ok
    assert not deployed.processes()
    kept = {"backend-store", "cache", "credentials", "database", "ports.json", "revisions", "store"}
    # By this a lost file of keys is noticed.
    kept.add("encryption-keys.sha256")
    assert {path.name for path in deployed.state.path.iterdir()} == kept
    assert not [name for name, port in known.items() if not ports.is_free(port)]
    deployed.must_up()
    assert deployed.output("trackingUrl") == url
    found = call(deployed.output("trackingUrl"), f"experiments/get?experiment_id={made['experiment_id']}")
    assert found["experiment"]["name"] == "kept over destroy"
