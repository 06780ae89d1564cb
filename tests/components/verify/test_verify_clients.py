"""The checks that run MLflow's clients, with a stand-in for the client's Python that prints the script's lines."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.contract import PlatformFailed, UsageError
from mlflow_backend.environments import client_requirements, locked_versions
from mlflow_backend.packaged import CLIENT_LOCKS
from mlflow_backend.verify import checks, runner
from mlflow_backend.verify.clients import environment
from mlflow_backend.verify.clients.differences import DIFFERENCES, difference, words
from mlflow_backend.verify.clients.run import actions
from mlflow_backend.verify.model import Result
from mlflow_backend.verify.request import VerifyRequest
from mlflow_backend.verify.subjects import Subject
from mlflow_backend.verify.tracking import PREFIX

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from mlflow_backend.verify.report import Report
    from tests.components.verify.fake_mlflow import FakeMLflow

    Make = Callable[..., None]

SECRET = "s3cret-key"
STAND_IN = """\
#!{python}
import json, os, sys
asked = json.load(sys.stdin)
with open({seen!r}, "w") as file:
    json.dump({{"asked": asked, "argv": sys.argv, "environment": dict(os.environ)}}, file)
print(json.dumps({{"action": "", "ok": True, "says": {version!r}, "ms": 0}}), flush=True)
for action in asked["actions"]:
    if action == {ends!r}:
        sys.exit(1)
    if action == {hangs!r}:
        sys.stdin.close(); sys.stdout.flush(); import signal; signal.pause()
    print(json.dumps({{"action": action, "ok": action != {refused!r}, "says": "done", "ms": 1}}), flush=True)
"""


@pytest.fixture
def seen(tmp_path: Path) -> Path:
    """Where the stand-in writes what it was given."""
    return tmp_path / "seen.json"


@pytest.fixture
def client(tmp_path: Path, seen: Path, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Make the stand-in the Python of every client: one of version 3.17.2 unless another is said."""

    def make(*, version: str = "3.17.2", refused: str = "", ends: str = "", hangs: str = "") -> None:
        program = tmp_path / "python"
        words = {"version": version, "refused": refused, "ends": ends, "hangs": hangs, "seen": str(seen)}
        program.write_text(STAND_IN.format(python=sys.executable, **words))
        program.chmod(0o700)
        monkeypatch.setattr(environment, "install", lambda _: program)

    return make


def verify(server: FakeMLflow, *clients: str, deadline_s: float = 30, **more: object) -> Report:
    """Verify the server by these clients."""
    subject = Subject(url=server.url, expected_version="3.17.2", **more)  # type: ignore[arg-type]
    return runner.run(subject, VerifyRequest(profile="client", clients=clients, deadline_s=deadline_s))


def not_green(report: Report) -> dict[str, tuple[Result, str]]:
    """The checks of clients that did not pass, with their codes."""
    return {
        check.name: (check.result, check.code)
        for check in report.checks
        if check.result is not Result.PASS and check.name[0].isdigit() | check.name.startswith("client-")
    }


def test_each_action_is_a_check_of_its_own(server: FakeMLflow, client: Make, seen: Path) -> None:
    """The report names the action that a client cannot do; the others are judged by themselves."""
    client(refused="aliases")
    report = verify(server)
    assert not_green(report) == {
        "3.17.2-aliases": (Result.FAIL, "client-refused"),
        "3.17.2-threshold-higher": (Result.SKIP, ""),
    }
    asked = json.loads(seen.read_text())["asked"]
    assert asked["experiment"].startswith(PREFIX)
    assert "threshold_higher" not in asked["actions"]
    assert not (seen.parent / asked["folder"]).exists()


def test_a_login_reaches_the_client_by_its_input_alone(
    server: FakeMLflow,
    client: Make,
    seen: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A key is not in the arguments or the environment of a process, which others may read, nor in the report."""
    client()
    monkeypatch.setenv("THE_KEY", SECRET)
    monkeypatch.setenv("MLFLOW_TRACKING_TOKEN", "of whoever verifies")
    report = verify(server, credentials={"apiKey": "env:THE_KEY"}, access=False)
    given = json.loads(seen.read_text())
    assert given["asked"]["headers"] == {"X-Api-Key": SECRET}
    assert SECRET not in json.dumps(given["argv"])
    assert "MLFLOW_TRACKING_TOKEN" not in given["environment"]
    assert SECRET not in report.json()


def test_a_client_that_ends_or_hangs_is_red(server: FakeMLflow, client: Make) -> None:
    """What a client did not do is no success, and a hung one ends with the deadline."""
    client(ends="trace")
    red = not_green(verify(server))
    assert red["3.17.2-trace"] == (Result.FAIL, "client-ended")
    assert red["3.17.2-clean-up"] == (Result.FAIL, "client-ended")
    assert "3.17.2-dataset" not in red
    client(hangs="search")
    red = not_green(verify(server, deadline_s=4))
    assert red["3.17.2-search"] in {(Result.FAIL, "client-refused"), (Result.FAIL, "deadline")}
    assert "3.17.2-trace" not in red


def test_a_client_of_another_version_is_none(server: FakeMLflow, client: Make) -> None:
    """An environment that holds another MLflow than its name says proves nothing."""
    client(version="3.17.1")
    assert not_green(verify(server))["client-3.17.2"] == (Result.FAIL, "client-not-started")


def test_no_environment_is_inconclusive(server: FakeMLflow, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package index that is away says nothing of the backend."""

    def refuse(_: str) -> Path:
        raise PlatformFailed("it is away", code="environment-not-installed", fix="repeat", part="MLflow")

    monkeypatch.setattr(environment, "install", refuse)
    report = verify(server, "3.4.0")
    assert report.verdict is Result.INCONCLUSIVE
    assert not_green(report)["client-3.4.0"] == (Result.INCONCLUSIVE, "not-prepared")


def test_every_version_that_is_served_has_the_lock_of_its_client() -> None:
    """Both locks are made by the same script; the client's has what teams install."""
    assert {lock.stem for lock in CLIENT_LOCKS.glob("*.txt")} == set(locked_versions())
    for version in locked_versions():
        text = (CLIENT_LOCKS / f"{version}.txt").read_text()
        assert f"\nmlflow=={version} " in text
        assert "\nscikit-learn==" in text
    assert "opentelemetry-sdk<1.45" in client_requirements("3.1.4")
    assert "opentelemetry-sdk<1.45" not in client_requirements("3.4.0") + client_requirements("2.9.2")


@pytest.mark.parametrize(
    ("action", "client_version", "server_version", "can"),
    [
        ("model_by_name", "2.22.5", "3.17.2", False),
        ("model_by_name", "3.0.0", "3.0.0", True),
        ("model_by_artifact_path", "3.17.2", "2.22.5", False),
        ("model_by_artifact_path", "2.22.5", "3.17.2", True),
        ("webhook", "3.3.0", "3.3.0", True),
        ("webhook", "3.17.2", "3.2.0", False),
        ("run", "2.9.2", "dev", True),
        ("trace", "3.17.2", "", True),
        ("trace", "3.4.0", "3.1.4", False),
        ("trace", "3.10.1", "3.1.4", True),
    ],
)
def test_differences_are_of_pairs(action: str, client_version: str, server_version: str, *, can: bool) -> None:
    """A pair's reason is given exactly if the pair cannot; a server that hides its version is taken for the newest."""
    assert (difference(action, client=client_version, server=server_version) == "") is can


def test_differences_name_what_clients_do() -> None:
    """A difference of an action that is gone would hide nothing and say something."""
    assert {each.action for each in DIFFERENCES} <= set(actions())
    assert {words(each.clients) for each in DIFFERENCES} >= {"all", "before 3", "since 3", "3.4 to before 3.10.1"}
    assert len({check.name for check in checks.of_profile("client", ("2.9.2", "3.17.2", "2.9.2"))}) == len(
        checks.of_profile("client", ("2.9.2", "3.17.2"))
    )


@pytest.mark.parametrize("version", ["", "latest", "3", "3.17", "3.17.2rc1", "3.17.2; rm"])
def test_what_is_no_version_is_refused(version: str) -> None:
    """A version becomes part of paths and of requirements."""
    with pytest.raises(UsageError):
        checks.of_profile("client", (version,))
