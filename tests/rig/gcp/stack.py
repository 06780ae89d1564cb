"""The project's own program on the rig of Google Cloud, by the real engine with the stand-in provider."""

from __future__ import annotations

import contextlib
import subprocess
from typing import TYPE_CHECKING, Any

import psutil

from tests.engine.project import PULUMI, ROOT, Project
from tests.rig.standin import plugin

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from tests.engine.project import Outcome
    from tests.rig.gcp.rig import GcpRig


class GcpStack(Project):
    """One stack on the rig. Each of its commands sees the rig's names, and is the administrator."""

    timeout_s = 540
    dropped = ("PULUMI_", "GOOGLE_", "GCE_", "MLFLOW_BACKEND_GCP_")

    def __init__(self, folder: Path, rig: GcpRig, settings: Mapping[str, Any], *, name: str = "gcp") -> None:
        """Lay out the project; nothing is deployed."""
        self.rig = rig
        super().__init__(folder, name, program=ROOT / "__main__.py")
        (self.project / "scripts").symlink_to(ROOT / "scripts")
        self.settings = dict(settings)
        plugin.install(self.home, "pulumi_gcp")
        self.write_settings()
        self.init()

    def write_settings(self, **sections: Mapping[str, Any]) -> None:
        """Change single settings of sections, and write the stack's file."""
        for section, changes in sections.items():
            self.settings[section] = {**self.settings.get(section, {}), **changes}
        self.write_config(self.settings)

    @property
    def environment(self) -> dict[str, str]:
        """What every command of this stack is run with."""
        return {
            **super().environment,
            **self.rig.environment,
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }

    def run(self, *argv: str, timeout_s: float | None = None, more: Mapping[str, str] | None = None) -> Outcome:
        """Run a command in the project, with the rig's names."""
        return super().run(*self.rig.command(*argv), timeout_s=timeout_s, more=more)

    def script(self, name: str, *arguments: str) -> Outcome:
        """Run one of the project's commands on this stack."""
        return self.run(*self._script(name, *arguments))

    def _script(self, name: str, *arguments: str) -> tuple[str, ...]:
        return (str(ROOT / ".venv" / "bin" / "python"), "-m", f"scripts.{name}", "--stack", self.name, *arguments)

    def start_up(self) -> subprocess.Popen[bytes]:
        """Start `pulumi up`, so that it can be killed with all that it starts."""
        return self.start(str(PULUMI), "up", "--yes", "--skip-preview", "--non-interactive", "--stack", self.name)

    def start_script(self, name: str, *arguments: str) -> subprocess.Popen[bytes]:
        """Start one of the project's commands on this stack, so that it can be killed."""
        return self.start(*self._script(name, *arguments))

    def start(self, *argv: str) -> subprocess.Popen[bytes]:
        """Start a command in the project, with the rig's names; what it says goes to `background.log`."""
        with (self.folder / "background.log").open("w") as log:
            return subprocess.Popen(
                self.rig.command(*argv),
                cwd=self.project,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    @staticmethod
    def kill(command: subprocess.Popen[bytes]) -> None:
        """SIGKILL a command and everything that it started, as a lost machine would."""
        for process in (psutil.Process(command.pid), *psutil.Process(command.pid).children(recursive=True)):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.kill()
        command.wait(timeout=10)
