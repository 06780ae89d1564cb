"""Other people's programs: the wheel in an environment of its own, the programs of examples/, and the commands."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from mlflow_backend.local import processes
from mlflow_backend.local.state import StateDir
from mlflow_backend.local.supervisor import Supervisor
from tests.engine.stack import PULUMI, ROOT, Outcome, count_starts

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.engine
TIMEOUT_S = 400
UV = ROOT / ".venv" / "bin" / "uv"


def run(*command: str | Path, **options: str | Path | dict[str, str]) -> str:
    """Run a program to its end, and return what it said."""
    done = subprocess.run(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
        **options,  # type: ignore[call-overload]
    )
    assert done.returncode == 0, done.stdout
    return str(done.stdout)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An environment that holds the wheel and what it needs, in the versions that this project locks."""
    folder = tmp_path_factory.mktemp("wheel")
    held = ("--build-constraints", ROOT / "server" / "image" / "build.txt")
    run(UV, "build", "--quiet", "--wheel", *held, "--out-dir", folder / "dist", ROOT)
    (wheel,) = (folder / "dist").glob("*.whl")
    run(UV, "venv", "--quiet", "--python", ROOT / ".venv" / "bin" / "python", folder / "venv")
    into = ("--quiet", "--python", folder / "venv" / "bin" / "python")
    run(UV, "pip", "install", *into, "--constraint", ROOT / "requirements" / "runtime.txt", wheel)
    return folder / "venv"


class Program:
    """One of the examples, copied to where no checkout is around it."""

    def __init__(self, folder: Path, example: str, environment: Path) -> None:
        """Make its stack; nothing is deployed."""
        self.project, self._python = folder / "project", environment / "bin" / "python"
        shutil.copytree(ROOT / "examples" / example, self.project, ignore=shutil.ignore_patterns("__pycache__"))
        definition = yaml.safe_load((self.project / "Pulumi.yaml").read_text())
        definition["runtime"] = {"name": "python", "options": {"virtualenv": str(environment)}}
        (self.project / "Pulumi.yaml").write_text(yaml.safe_dump(definition))
        (folder / "state").mkdir()
        self.variables = {
            **{name: value for name, value in os.environ.items() if not name.startswith(("PULUMI_", "PYTHON"))},
            "PATH": f"{PULUMI.parent}:{environment / 'bin'}:{os.environ['PATH']}",
            "PULUMI_HOME": str(folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "for tests only",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }
        assert self.pulumi("stack", "init", "mine").ok

    def pulumi(self, *arguments: str) -> Outcome:
        """Run one pulumi command in the project."""
        done = subprocess.run(
            [str(PULUMI), *arguments, "--non-interactive", "--color", "never"],
            cwd=self.project,
            env=self.variables,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=TIMEOUT_S,
            check=False,
        )
        return Outcome(done.returncode, done.stdout)

    def command(self, name: str, *arguments: str) -> str:
        """Run one of the package's commands in the project, and return what it said."""
        module = f"mlflow_backend.commands.{name}"
        return run(self._python, "-m", module, "--stack", "mine", *arguments, cwd=self.project, env=self.variables)


@pytest.fixture(scope="module")
def backend(environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A backend that somebody else's program deployed on this machine."""
    program = Program(tmp_path_factory.mktemp("backend"), "local_backend", environment)
    state = StateDir(program.project / ".backend" / "mine")
    try:
        outcome = program.pulumi("up", "--yes", "--skip-preview")
        assert outcome.ok, outcome.text
        count_starts(1)
        yield program
        ended = program.pulumi("destroy", "--yes", "--skip-preview")
        assert ended.ok, ended.text
        assert not processes.marked(str(state.path))
    finally:
        processes.end(processes.marked(str(state.path)), timeout_s=5)


@pytest.mark.timeout(3 * TIMEOUT_S)
def test_commands_find_the_backend_of_another_program(backend: Program) -> None:
    """The package says what runs, and verifies it, without a repository around it."""
    (backend.project / "Pulumi.mine.yaml").write_text("config: {}\n", encoding="utf-8")
    assert "PASS" in backend.command("status")
    assert "3.17.2" in backend.command("releases")
    assert "PASS" in backend.command("verify")


@pytest.mark.timeout(2 * TIMEOUT_S)
def test_a_verification_alone_is_red_as_soon_as_mlflow_is(backend: Program, environment: Path, tmp_path: Path) -> None:
    """An MLflow that somebody else deploys is verified in each update: green while it works, and only then."""
    url = backend.pulumi("stack", "output", "trackingUrl").text.strip()
    watch = Program(tmp_path, "verification", environment)
    assert watch.pulumi("config", "set", "trackingUrl", url).ok
    first = watch.pulumi("up", "--yes", "--skip-preview")
    assert first.ok, first.text
    supervisor = Supervisor(StateDir(backend.project / ".backend" / "mine"))
    supervisor._call("stopProcess", "database")
    try:
        second = watch.pulumi("up", "--yes", "--skip-preview")
        assert not second.ok
        assert "does not pass its verification" in second.text
    finally:
        supervisor._call("startProcess", "database", True)
