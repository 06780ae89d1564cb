"""Access on the local target: keys and passwords that are asked for, verified with, rotated and revoked for real."""

from __future__ import annotations

import base64
import json
import subprocess
import sys
import time
from typing import TYPE_CHECKING

import pytest
import urllib3

from mlflow_backend.local import api_keys, credentials, revisions
from mlflow_backend.local.state import write
from tests.engine.faults import parts
from tests.engine.faults.scene import Fault, Scene, prove
from tests.engine.stack import LocalStack, nothing_changed
from tests.tools.projects import ROOT

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from typing import Any

API = "/api/2.0/mlflow"
SEARCH = "/api/2.0/mlflow/experiments/search?max_results=1"
CREATE = "/api/2.0/mlflow/experiments/create"
DEADLINE_S = 60.0
GATE = ROOT / "client" / "mlflow_backend_gate.py"
SIGNED_IN = """
import sys, requests
from mlflow_backend_sign_in.plugin import Provider
for url in sys.stdin:
    print(requests.get(url.strip(), auth=Provider().get_auth(), timeout=30).status_code, flush=True)
"""


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalStack]:
    """A stack whose callers need an API key, each limited."""
    made = LocalStack(tmp_path_factory.mktemp("access") / "stack")
    made.write_settings(access={"mode": "token", "requestsPerMinute": 100_000})
    try:
        made.must_up()
        yield made
    finally:
        made.close()


def status(stack: LocalStack, path: str = SEARCH, *, method: str = "GET", **headers: str) -> int:
    """Return what the public URL answers to these headers, '_' for '-' in their names."""
    url = f"{stack.output('trackingUrl')}{path}"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    body = json.dumps({"name": f"x-{time.time_ns()}"}).encode() if method == "POST" else None
    return urllib3.request(method, url, headers=named, body=body, timeout=10, retries=False).status


def basic(stack: LocalStack) -> str:
    """Return the header of the administrator, as his files say it now."""
    return login(*(credentials.read(stack.state, name) for name in (credentials.ADMIN_USER, credentials.ADMIN)))


def login(user: str, password: str) -> str:
    """Return the header of a user."""
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


def within_a_minute(fulfilled: Callable[[], bool]) -> bool:
    """Poll, as servers read their keys by themselves."""
    deadline = time.monotonic() + DEADLINE_S
    while time.monotonic() < deadline:
        if fulfilled():
            return True
        time.sleep(0.5)
    return False


def results(stack: LocalStack) -> dict[str, str]:
    """Return the result of each check of the last verification."""
    return {check["name"]: check["result"] for check in stack.report()["checks"]}


def test_a_key_is_needed_and_is_nowhere_but_in_its_file(guarded: LocalStack) -> None:
    """Verification comes with the users' kind of credentials; neither state nor argv nor output holds one."""
    assert {results(guarded)[name] for name in ("credentials", "components", "ready", "redis")} == {"pass"}
    key = credentials.read(guarded.state, credentials.API_KEY)
    assert status(guarded) == 401
    assert status(guarded, X_API_Key="mlfb_wrong") == 401
    assert status(guarded, X_API_Key=key) == status(guarded, Authorization=f"Bearer {key}") == 200
    lines = guarded.output("client")
    assert f"export MLFLOW_TRACKING_TOKEN=\"$(cat '{guarded.state.credentials / credentials.API_KEY}')\"" in lines
    exported = guarded.pulumi("stack", "export", "--stack", guarded.name).text
    assert key not in exported + "".join(" ".join(process.cmdline()) for process in guarded.processes())
    again = guarded.must_up("--refresh")
    assert nothing_changed(again.text), again.text


def test_a_key_of_its_own_is_let_in_and_shut_out_without_an_update(guarded: LocalStack, tmp_path: Path) -> None:
    """Scopes hold; within a minute a new key is valid, and a revoked one refused. Sign-in goes on with the next one."""
    key = api_keys.add(guarded.state, "trainer", "read").read_text()
    assert within_a_minute(lambda: status(guarded, X_API_Key=key) == 200)
    assert status(guarded, CREATE, method="POST", X_API_Key=key) == 403
    (tmp_path / "key").write_text(key)
    environment = {"PYTHONPATH": str(GATE.parent), "MLFLOW_BACKEND_KEY": f"file:{tmp_path / 'key'}"}
    url = f"{guarded.output('trackingUrl')}{SEARCH}\n"
    with subprocess.Popen(
        [sys.executable, "-c", SIGNED_IN], env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as client:
        assert client.stdin
        assert client.stdout
        print(url, file=client.stdin, end="", flush=True)
        assert client.stdout.readline() == "200\n"
        (tmp_path / "key").write_text(credentials.read(guarded.state, credentials.API_KEY))
        api_keys.revoke(guarded.state, "trainer")
        assert within_a_minute(lambda: status(guarded, X_API_Key=key) == 401)
        print(url, file=client.stdin, end="", flush=True)
        assert client.stdout.readline() == "200\n"


def test_a_pipeline_passes_the_gate_with_a_key_and_not_without(guarded: LocalStack, tmp_path: Path) -> None:
    """The file that pipelines copy, against a real MLflow behind keys: its run is really there."""
    (tmp_path / "gate.py").write_text(GATE.read_text())
    key, url = credentials.read(guarded.state, credentials.API_KEY), guarded.output("trackingUrl")

    def gate(**login: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-I", "-S", tmp_path / "gate.py", url, "--experiment", "gate", "--output", tmp_path]
        return subprocess.run(command, env=login, capture_output=True, text=True, check=False, timeout=60)

    assert gate().returncode == 1
    assert "401" in json.loads((tmp_path / "mlflow_status.json").read_text())["error"]
    opened = gate(MLFLOW_TRACKING_TOKEN=key)
    assert opened.returncode == 0, opened.stderr
    run_id = json.loads((tmp_path / "mlflow_info.json").read_text())["run_id"]
    assert status(guarded, f"/api/2.0/mlflow/runs/get?run_id={run_id}", X_API_Key=key) == 200


@pytest.mark.parametrize("fault", parts.GUARDED, ids=lambda fault: fault.name)
def test_each_fault_behind_access_turns_the_verdict_and_names_its_cause(
    guarded: LocalStack, fault: Fault, tmp_path: Path
) -> None:
    """The rows of the fault table that need keys, and limits that the cache counts."""
    prove(Scene(stack=guarded, certificates=tmp_path), fault)


def test_metrics_are_on_a_port_of_their_own(guarded: LocalStack) -> None:
    """Prometheus asks a loopback port beside the public one, on which there is no such route."""
    record = revisions.active(guarded.state)
    assert record is not None
    answer = urllib3.request("GET", f"http://127.0.0.1:{record.metrics_port}/metrics", timeout=10)
    assert b"mlflow_backend_http_requests_total{" in answer.data
    assert status(guarded, "/metrics") == 401


def test_basic_auth_takes_over_and_its_password_is_rotated_by_its_file(guarded: LocalStack) -> None:
    """Another mode is a new revision; a password that is written into its file is the valid one after an update."""
    guarded.write_settings(access={"mode": "basic"})
    guarded.must_up()
    assert {results(guarded)[name] for name in ("credentials", "components", "ready", "schema")} == {"pass"}
    first = basic(guarded)
    key = credentials.read(guarded.state, credentials.API_KEY)
    assert status(guarded) == status(guarded, X_API_Key=key) == 401
    assert status(guarded, Authorization=first) == 200
    write(guarded.state.credentials / credentials.ADMIN, "another-password-of-some-length")
    guarded.must_up()
    assert results(guarded)["credentials"] == "pass"
    assert status(guarded, Authorization=basic(guarded)) == 200
    assert status(guarded, Authorization=first) == 401


PASSWORDS = {"ada": "what-ada-was-given", "bob": "what-bob-was-given", "carl": "what-carl-was-given"}


def as_administrator(stack: LocalStack, method: str, call: str, document: dict[str, str]) -> dict[str, Any]:
    """Call MLflow's REST API and return its answer, which must be 200."""
    headers = {"Authorization": basic(stack), "Content-Type": "application/json"}
    url = f"{stack.output('trackingUrl')}{API}/{call}"
    answer = urllib3.request(method, url, headers=headers, body=json.dumps(document), timeout=10, retries=False)
    assert answer.status == 200, answer.data
    return dict(answer.json())


def reads(stack: LocalStack, user: str, path: str = SEARCH) -> int:
    """Return what a user is answered."""
    return status(stack, path, Authorization=login(user, PASSWORDS[user]))


def test_users_and_permissions_follow_the_settings(guarded: LocalStack, tmp_path: Path) -> None:
    """Made by an update; a refresh sees what people changed, the next update mends it; whoever is removed is shut out.

    A user whom people made stays, and no password is in the state.
    """
    for user, password in PASSWORDS.items():
        (tmp_path / user).write_text(password)
    ada, bob = ({"password": f"file:{tmp_path / user}"} for user in ("ada", "bob"))
    permissions = {
        "default": "NO_PERMISSIONS",
        "experiments": {"fraud": {"risk": "READ", "ada": "EDIT"}},
        "registeredModels": {"fraud": {"risk": "READ"}},
    }
    access = {"mode": "basic", "users": {"ada": ada, "bob": bob}, "groups": {"risk": ["ada", "bob"]}}
    roles = {"watcher": {"members": ["risk"], "permissions": {"experiments": {"watched": "READ"}}}}
    guarded.write_settings(access={**access, "permissions": permissions, "roles": roles})
    guarded.must_up()
    as_administrator(guarded, "POST", "users/create", {"username": "carl", "password": PASSWORDS["carl"]})
    answer = urllib3.request(
        "GET",
        f"{guarded.output('trackingUrl')}{API}/experiments/get-by-name?experiment_name=fraud",
        headers={"Authorization": basic(guarded)},
        timeout=10,
    )
    fraud = f"{API}/experiments/get?experiment_id={answer.json()['experiment']['experiment_id']}"
    watched = f"{API}/experiments/get-by-name?experiment_name=watched"
    assert reads(guarded, "bob", watched) == 200
    assert reads(guarded, "carl", watched) == 403
    assert reads(guarded, "ada", fraud) == reads(guarded, "bob", fraud) == 200
    assert reads(guarded, "carl", fraud) == 403
    exported = guarded.pulumi("stack", "export", "--stack", guarded.name).text
    assert not any(password in exported for password in PASSWORDS.values())

    as_administrator(guarded, "DELETE", "users/delete", {"username": "ada"})
    refreshed = guarded.pulumi("refresh", "--yes", "--stack", guarded.name)
    assert refreshed.ok, refreshed.text
    exported = guarded.pulumi("stack", "export", "--stack", guarded.name).text
    assert "create the user ada" in exported
    assert "assign the role watcher ada" in exported
    guarded.write_settings(
        access={**access, "users": {"ada": ada}, "groups": {"risk": ["ada"]}, "permissions": permissions}
    )
    guarded.must_up()
    assert reads(guarded, "ada", fraud) == 200
    # The role is not among the settings any more.
    assert reads(guarded, "ada", watched) == 403
    assert within_a_minute(lambda: reads(guarded, "bob") == 401)
    assert reads(guarded, "carl") == 200
