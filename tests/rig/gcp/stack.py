"""The project's own program on the rig of Google Cloud, by the real engine with the stand-in provider."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tests.engine.project import ROOT, Project
from tests.rig.standin import plugin

if TYPE_CHECKING:
    import subprocess
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

    def start(self, *argv: str) -> subprocess.Popen[bytes]:
        """Start a command in the project, with the rig's names."""
        return super().start(*self.rig.command(*argv))
