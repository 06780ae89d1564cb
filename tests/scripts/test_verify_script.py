"""`scripts/verify.py` as users run it: a process with arguments, an exit code, and no credential in what it prints."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.commands import stacks
from mlflow_backend.commands import verify as command
from mlflow_backend.contract import ExitCode
from mlflow_backend.local.locator import LocalLocator
from mlflow_backend.local.platform import LocalPlatform
from mlflow_backend.local.state import StateDir
from mlflow_backend.verify.checks import PROFILES
from mlflow_backend.verify.subjects import Subject
from tests.components.verify.fake_mlflow import FakeMLflow, error

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def server() -> Iterator[FakeMLflow]:
    """A server that answers as MLflow does, on a free loopback port."""
    with FakeMLflow() as fake:
        yield fake


def verify(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the script from elsewhere, as a user may."""
    return subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "verify.py"), *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd="/",
        env={"PATH": os.environ["PATH"], **environment},
    )


def test_pass_is_0_with_the_table(server: FakeMLflow) -> None:
    """A backend that works ends with 0."""
    done = verify(server.url)
    assert (done.returncode, "PASS (core" in done.stdout) == (0, True), done.stderr


def test_fail_is_1(server: FakeMLflow) -> None:
    """A check that fails ends with 1."""
    assert verify(server.url, "--expect-version", "2.9.2").returncode == 1


def test_inconclusive_is_5(server: FakeMLflow) -> None:
    """A missing credential ends with 5: the backend may be well."""
    assert verify(server.url, "--token", "env:NOT_SET").returncode == 5


@pytest.mark.parametrize(
    "arguments",
    [
        (),
        ("--stack", "nowhere"),
        ("http://u:s3cret@h",),
        ("http://h", "--only", "x"),
        ("h",),
        ("http://h", "--deadline", "-1"),
    ],
)
def test_usage_is_2_with_the_fix(arguments: tuple[str, ...]) -> None:
    """A wrong command line ends with 2 and one line, without repeating a secret."""
    done = verify(*arguments)
    assert done.returncode == 2
    assert done.stderr.startswith("verify: ")
    assert "s3cret" not in done.stderr


def test_a_stack_that_is_not_deployed_is_3(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As for the other commands, with what to do; one that nobody knows is a mistake of the caller."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "Pulumi.mine.yaml").write_text("config:\n  mlflow-backend:target: local\n", encoding="utf-8")
    assert command.main(["--stack", "mine"]) is ExitCode.REFUSED
    assert "make up STACK=mine" in capsys.readouterr().err
    assert command.main(["--stack", "nowhere"]) is ExitCode.USAGE


def test_json_to_standard_output_is_the_report_alone(server: FakeMLflow) -> None:
    """A machine gets one JSON document and nothing else."""
    document = json.loads(verify(server.url, "--json", "-", "--only", "health").stdout)
    assert (document["schema"], document["stage"]) == ("mlflow-backend/verification/1", "initialized")


def test_client_variables_are_used_and_never_printed(server: FakeMLflow) -> None:
    """What MLflow's clients read is enough, and appears in no output."""
    server.fault = lambda asked: error(401, "UNAUTHENTICATED", str(asked.headers)) if asked.path == "/version" else None
    done = verify(server.url, MLFLOW_TRACKING_USERNAME="u", MLFLOW_TRACKING_PASSWORD="s3cret")
    assert server.asked[0].headers["authorization"].startswith("Basic ")
    assert done.returncode == 1
    encoded = server.asked[0].headers["authorization"].removeprefix("Basic ")
    assert "s3cret" not in done.stdout + done.stderr
    assert encoded not in done.stdout + done.stderr


def test_insecure_is_said_loudly(server: FakeMLflow) -> None:
    """Whoever gives up certificates reads so, on both outputs."""
    done = verify(server.url, "--insecure", "--only", "health")
    assert "INSECURE" in done.stdout
    assert "INSECURE" in done.stderr


def test_a_part_of_the_checks_does_not_replace_the_verdict(
    server: FakeMLflow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The verdict that is kept speaks for the backend as a whole."""
    state = StateDir(tmp_path / "stack")
    state.path.mkdir()
    found = Subject(url=server.url, locator=LocalLocator.of(state), report_path=str(state.report))
    monkeypatch.setattr(stacks, "opened", lambda *_: SimpleNamespace(subject=lambda: found))
    monkeypatch.setattr(LocalPlatform, "serving", lambda _self: "1")
    assert command.main(["--stack", "x", "--only", "health"]) == ExitCode.DONE
    assert not state.report.exists()
    assert command.main(["--stack", "x"]) == ExitCode.DONE
    assert json.loads(state.report.read_text())["stage"] == "initialized"


def test_the_gate_lets_a_caller_through_at_once(server: FakeMLflow) -> None:
    """The gate starts a run and ends it, then the checks are made."""
    done = verify(server.url, "--gate", "--only", "health")
    assert done.returncode == 0, done.stderr
    assert [run["info"]["status"] for run in server.runs.values()] == ["FINISHED"]


def test_a_closed_gate_stops_the_caller(server: FakeMLflow) -> None:
    """What does not pass by itself is said at once, and nothing is verified."""
    server.fault = lambda asked: error(403, "PERMISSION_DENIED") if "experiments/create" in asked.path else None
    done = verify(server.url, "--gate")
    assert (done.returncode, done.stdout) == (1, "")
    assert "403" in done.stderr


def test_the_json_is_written(server: FakeMLflow, tmp_path: Path) -> None:
    """The file is whole, and folders are made for it."""
    report = tmp_path / "out" / "report.json"
    verify(server.url, "--json", str(report))
    assert json.loads(report.read_text())["verdict"] == "pass"


def test_a_report_that_cannot_be_written_is_inconclusive(server: FakeMLflow, tmp_path: Path) -> None:
    """A local error of the probe is reported in one line, and is neither green nor the backend's fault."""
    (tmp_path / "file").write_text("")
    done = verify(server.url, "--json", str(tmp_path / "file" / "report.json"))
    assert done.returncode == 5
    assert "cannot be written" in done.stderr


def test_every_option_is_documented() -> None:
    """docs/commands/verify.md knows each option of the command and each check by its profile."""
    text = (ROOT / "docs" / "commands" / "verify.md").read_text()
    options = [option for action in command.parser()._actions for option in action.option_strings]
    assert [option for option in options if option not in text and option not in {"-h", "--help"}] == []
    assert [profile for profile in PROFILES if f"`{profile}`" not in text] == []


def test_a_url_is_verified_without_what_only_stacks_need() -> None:
    """A gate runs before each job: it imports neither the settings' models nor a cloud's client nor Pulumi."""
    heavy = {"pydantic", "pulumi", "boto3", "botocore", "psycopg2", "yaml"}
    asked = f"import sys, scripts.verify; print(sorted({heavy!r} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", asked], cwd=ROOT, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.strip() == "[]"
