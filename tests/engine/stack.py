"""A local stack under test: the project's own program, run by the real engine in a folder of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import yaml

from mlflow_backend.local import processes
from mlflow_backend.local.state import StateDir

ROOT = Path(__file__).resolve().parents[2]
PULUMI = ROOT / ".tools" / "bin" / "pulumi"
UPDATE_TIMEOUT_S = 400
_DONE = re.compile(r"unchanged|creat\w+|updat\w+|replac\w+|delet\w+|errored|same")
_VERIFICATION = "dynamic/mlflow-backend:Verification"
_STARTED = re.compile(r"spawned: '(server-\d+)'")


@dataclass(frozen=True)
class Outcome:
    """How one pulumi command ended."""

    code: int
    text: str

    @property
    def ok(self) -> bool:
        """Whether it succeeded."""
        return self.code == 0


class LocalStack:
    """One stack in one temporary project, with a file backend of its own."""

    def __init__(self, folder: Path, name: str = "local") -> None:
        """Lay out the project; nothing is deployed."""
        self.folder, self.name = folder, name
        self.project = folder / "project"
        self.project.mkdir(parents=True, exist_ok=True)
        shutil.copy(ROOT / "__main__.py", self.project)
        definition = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
        definition["runtime"]["options"]["virtualenv"] = str(ROOT / ".venv")
        (self.project / "Pulumi.yaml").write_text(yaml.safe_dump(definition))
        (folder / "state").mkdir()
        self.settings: dict[str, Any] = {"target": "local"}
        self.state = StateDir(self.project / ".backend" / name)
        self.write_settings()
        self.pulumi("stack", "init", name)

    def write_settings(self, **sections: dict[str, Any]) -> None:
        """Set whole sections, and write the stack's file."""
        self.settings |= sections
        config = {f"mlflow-backend:{key}": value for key, value in self.settings.items()}
        path = self.project / f"Pulumi.{self.name}.yaml"
        # The engine keeps the passphrase's salt in the same file.
        kept = yaml.safe_load(path.read_text()) if path.exists() else {}
        path.write_text(yaml.safe_dump({**kept, "config": config}))

    @property
    def environment(self) -> dict[str, str]:
        """What every pulumi command of this stack is run with."""
        return {
            **{k: v for k, v in os.environ.items() if not k.startswith("PULUMI_")},
            "PATH": f"{ROOT / '.tools' / 'bin'}:{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}",
            "PULUMI_HOME": str(self.folder / "home"),
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "for tests only",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }

    def pulumi(self, *arguments: str, timeout_s: float = UPDATE_TIMEOUT_S) -> Outcome:
        """Run one pulumi command in the project, within a deadline."""
        done = subprocess.run(
            [str(PULUMI), *arguments, "--non-interactive", "--color", "never"],
            cwd=self.project,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        return Outcome(done.returncode, done.stdout)

    def up(self, *flags: str) -> Outcome:
        """Run `pulumi up`."""
        return self.pulumi("up", "--yes", "--stack", self.name, *flags)

    def start_up(self) -> subprocess.Popen[bytes]:
        """Start `pulumi up` in a session of its own, so that it can be killed with all that it starts."""
        with (self.folder / "background.log").open("w") as log:
            return subprocess.Popen(
                [str(PULUMI), "up", "--yes", "--skip-preview", "--non-interactive", "--stack", self.name],
                cwd=self.project,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def kill(self, update: subprocess.Popen[bytes]) -> None:
        """SIGKILL an update and everything that it started, as a lost machine would; the stack's servers live on."""
        family = [psutil.Process(update.pid), *psutil.Process(update.pid).children(recursive=True)]
        for process in family:
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        update.wait(timeout=10)

    def server_numbers(self) -> list[int]:
        """Return the numbers of the revisions whose server has a process."""
        names = {process.environ()[processes.PROGRAM_MARKER] for process in self.processes(None) if _is_server(process)}
        return sorted(int(name.removeprefix("server-")) for name in names)

    def must_up(self, *flags: str) -> Outcome:
        """Run `pulumi up`, and show what it said where it fails."""
        outcome = self.up(*flags)
        assert outcome.ok, outcome.text
        return outcome

    def destroy(self) -> Outcome:
        """Run `pulumi destroy`, which deletes the log that starts are counted by."""
        count_starts(self.servers_started())
        return self.pulumi("destroy", "--yes", "--stack", self.name)

    def output(self, key: str) -> Any:
        """Return one stack output."""
        done = self.pulumi("stack", "output", "--json", "--stack", self.name)
        assert done.ok, done.text
        return json.loads(done.text)[key]

    def resources(self) -> dict[str, dict[str, Any]]:
        """Return the stack's resources as its state has them, by name."""
        done = self.pulumi("stack", "export", "--stack", self.name)
        assert done.ok, done.text
        found = json.loads(done.text)["deployment"].get("resources", [])
        return {resource["urn"].rsplit("::", 1)[-1]: resource for resource in found}

    def processes(self, program: str | None = None) -> list[psutil.Process]:
        """Return the live processes of the stack."""
        return processes.marked(str(self.state.path), program)

    def report(self) -> dict[str, Any]:
        """Return the last verification report."""
        return dict(json.loads(self.state.report.read_text()))

    def servers_started(self) -> int:
        """Count the MLflow servers that the supervisor started since the stack was deployed."""
        log = self.state.supervisor / "supervisord.log"
        return len(_STARTED.findall(log.read_text())) if log.exists() else 0

    def close(self) -> None:
        """Destroy what is deployed, and end what a failed test may have left; then forget the folder."""
        try:
            if (self.folder / "state" / ".pulumi").exists():
                self.destroy()
        finally:
            processes.end(self.processes(), timeout_s=5)
            shutil.rmtree(self.folder, ignore_errors=True)


def nothing_changed(text: str) -> bool:
    """Whether a command's summary says that it found nothing to do; an update only verified again."""
    summary = text.rpartition("\nResources:")[2].partition("\nDuration:")[0]
    done = {word for line in summary.splitlines() for word in _DONE.findall(line)}
    return "unchanged" in done and done <= {"unchanged", "replaced"} and touched(text) == []


def touched(text: str) -> list[str]:
    """Return the lines of an update's text that say of a resource that it was made or changed.

    Each update replaces the verification, whatever changed.
    """
    done = (" updated ", " created ", " replaced ", " deleted ")
    return [line for line in text.splitlines() if any(word in line for word in done) and _VERIFICATION not in line]


def _is_server(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.Error):
        return process.environ().get(processes.PROGRAM_MARKER, "").startswith("server-")
    return False


def count_starts(number: int) -> None:
    """Add to the count of servers that `make test` prints for each level."""
    counter = os.environ.get("MLFLOW_BACKEND_SERVER_STARTS")
    if counter:
        with Path(counter).open("a") as stream:
            stream.write("engine\n" * number)
