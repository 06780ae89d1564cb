"""A Pulumi program in a folder of its own, run by the real engine on a file backend of its own."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import psutil
import yaml

if TYPE_CHECKING:
    from collections.abc import Mapping

ROOT: Final = Path(__file__).resolve().parents[2]
PULUMI: Final = ROOT / ".tools" / "bin" / "pulumi"
PASSPHRASE: Final = "for tests only"


@dataclass(frozen=True)
class Outcome:
    """How one command ended, and what it printed."""

    code: int
    text: str

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.code == 0


class Project:
    """One stack of one program; `folder` holds the project, the engine's home and the state."""

    timeout_s: float = 400
    dropped: tuple[str, ...] = ("PULUMI_",)
    """Beginnings of the variables that a command does not get from whoever runs the tests."""

    def __init__(self, folder: Path, name: str, *, program: Path, virtualenv: Path = ROOT / ".venv") -> None:
        """Lay out the project from a program's file or folder; its stack is made by `init`."""
        self.folder, self.name, self.virtualenv = folder, name, virtualenv
        self.project, self.home = folder / "project", folder / "home"
        if program.is_dir():
            shutil.copytree(program, self.project, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            self.project.mkdir(parents=True)
            shutil.copy(program, self.project / "__main__.py")
        definition = yaml.safe_load((program if program.is_dir() else ROOT).joinpath("Pulumi.yaml").read_text())
        definition["runtime"] = {"name": "python", "options": {"virtualenv": str(virtualenv)}}
        (self.project / "Pulumi.yaml").write_text(yaml.safe_dump(definition))
        (folder / "state").mkdir()

    def init(self) -> None:
        """Make the stack."""
        made = self.pulumi("stack", "init", self.name)
        assert made.ok, made.text

    def write_config(self, settings: Mapping[str, Any]) -> None:
        """Write the settings into the stack's file, in which the engine keeps the passphrase's salt too."""
        path = self.project / f"Pulumi.{self.name}.yaml"
        kept = yaml.safe_load(path.read_text()) if path.exists() else {}
        config = {f"mlflow-backend:{key}": value for key, value in settings.items()}
        path.write_text(yaml.safe_dump({**kept, "config": config}))

    def read_config(self) -> dict[str, Any]:
        """Return the settings in the stack's file."""
        config = yaml.safe_load((self.project / f"Pulumi.{self.name}.yaml").read_text())["config"]
        return {key.partition(":")[2]: value for key, value in config.items()}

    @property
    def environment(self) -> dict[str, str]:
        """What every command of the project is run with."""
        kept = {name: value for name, value in os.environ.items() if not name.startswith(self.dropped)}
        return {
            **kept,
            "PATH": f"{PULUMI.parent}:{self.virtualenv / 'bin'}:{os.environ['PATH']}",
            "PULUMI_HOME": str(self.home),
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": PASSPHRASE,
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }

    def run(self, *argv: str, timeout_s: float | None = None, more: Mapping[str, str] | None = None) -> Outcome:
        """Run a command in the project, within a deadline, with `more` variables of its own."""
        done = subprocess.run(
            argv,
            cwd=self.project,
            env={**self.environment, **(more or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s or self.timeout_s,
            check=False,
        )
        return Outcome(done.returncode, done.stdout)

    def start(self, *argv: str) -> subprocess.Popen[bytes]:
        """Start a command in a session of its own, so that it can be killed with all that it starts."""
        with self.background_log.open("w") as log:
            return subprocess.Popen(
                argv,
                cwd=self.project,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @property
    def background_log(self) -> Path:
        """What the last command that was started printed."""
        return self.folder / "background.log"

    def kill(self, command: subprocess.Popen[bytes]) -> None:
        """SIGKILL a command that runs and everything that it started, as a lost machine would."""
        if command.poll() is not None:
            return
        family = [psutil.Process(command.pid), *psutil.Process(command.pid).children(recursive=True)]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        command.wait(timeout=10)

    def pulumi(self, *arguments: str, timeout_s: float | None = None) -> Outcome:
        """Run one pulumi command."""
        return self.run(str(PULUMI), *arguments, "--non-interactive", "--color", "never", timeout_s=timeout_s)

    def up(self, *flags: str) -> Outcome:
        """Run `pulumi up`, without a preview of its own."""
        return self.pulumi("up", "--yes", "--skip-preview", "--stack", self.name, *flags)

    def start_up(self, *flags: str) -> subprocess.Popen[bytes]:
        """Start `pulumi up`."""
        command = ("up", "--yes", "--skip-preview", "--non-interactive", "--stack", self.name, *flags)
        return self.start(str(PULUMI), *command)

    def script(self, name: str, *arguments: str) -> Outcome:
        """Run one of the project's commands on this stack."""
        return self.run(*self._script(name, *arguments))

    def start_script(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start one of the project's commands on this stack."""
        return self.start(*self._script(name, *arguments))

    def _script(self, name: str, *arguments: str) -> tuple[str, ...]:
        return (str(ROOT / ".venv" / "bin" / "python"), "-m", f"scripts.{name}", "--stack", self.name, *arguments)

    def must_up(self, *flags: str) -> Outcome:
        """Run `pulumi up`, and show what it printed if it fails."""
        outcome = self.up(*flags)
        assert outcome.ok, outcome.text
        return outcome

    def destroy(self) -> Outcome:
        """Run `pulumi destroy`."""
        return self.pulumi("destroy", "--yes", "--skip-preview", "--stack", self.name)

    def outputs(self) -> dict[str, Any]:
        """Return the stack's outputs."""
        done = self.pulumi("stack", "output", "--json", "--stack", self.name)
        assert done.ok, done.text
        return dict(json.loads(done.text))

    def output(self, key: str) -> Any:
        """Return one stack output."""
        return self.outputs()[key]

    def state_of_resources(self) -> list[dict[str, Any]]:
        """Return the stack's resources as its state has them."""
        done = self.pulumi("stack", "export", "--stack", self.name)
        assert done.ok, done.text
        return list(json.loads(done.text)["deployment"].get("resources", []))

    def resources(self) -> dict[str, dict[str, Any]]:
        """Return the stack's resources by name, of which one of several with a name."""
        return {resource["urn"].rsplit("::", 1)[-1]: resource for resource in self.state_of_resources()}
