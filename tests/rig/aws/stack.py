"""The project's own program on a rig: the shipped stack files, by the real engine, with the stand-in provider."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Final

import yaml

from mlflow_backend.aws.permissions import Purpose
from mlflow_backend.commands import policing
from mlflow_backend.contract import Refused
from mlflow_backend.server import parse_version
from mlflow_backend.settings import YamlSource, load
from mlflow_backend.vulnerabilities.table import of_version
from tests.engine.project import PULUMI, ROOT, Project
from tests.rig.aws.workflows import Workflows
from tests.rig.standin import plugin

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlflow_backend.settings import Settings
    from tests.engine.project import Outcome
    from tests.rig.aws.rig import AwsRig

PROGRAM: Final = ROOT / "tests" / "rig" / "standin" / "program" / "__main__.py"
"""The project's program with containers that start at once in MLflow's place."""


class AwsStack(Project):
    """One of the shipped stacks on a rig."""

    timeout_s = 540
    dropped = ("PULUMI_", "AWS_")

    def __init__(self, folder: Path, rig: AwsRig, name: str = "dev", *, program: Path = ROOT / "__main__.py") -> None:
        """Lay out the project; nothing is deployed."""
        super().__init__(folder, name, program=program)
        self.rig = rig
        self.workflows = Workflows(name)
        self._granted: dict[Purpose, Settings] = {}
        (self.project / "scripts").symlink_to(ROOT / "scripts")
        shipped = yaml.safe_load((ROOT / f"Pulumi.{name}.yaml").read_text())["config"]
        self.settings: dict[str, Any] = {key.partition(":")[2]: value for key, value in shipped.items()}
        plugin.install(self.home, "pulumi_aws")
        self.write_settings()
        self.init()

    def write_settings(self, **sections: Mapping[str, Any]) -> None:
        """Change single settings of sections, and write the stack's file."""
        for section, changes in sections.items():
            self.settings[section] = {**self.settings.get(section, {}), **changes}
        self.write_config(self.settings)

    def serve(self, version: str) -> None:
        """Ask for another MLflow version, by the image of its tag, and accept what is known against it."""
        image = str(self.settings["server"]["image"]).rpartition(":")[0]
        known = [row.id for row in of_version(parse_version(version))]
        self.write_settings(
            server={"mlflowVersion": version, "image": f"{image}:{version}"}, policy={"acceptVulnerabilities": known}
        )

    @property
    def environment(self) -> dict[str, str]:
        """What every command of this stack is run with."""
        return {
            **super().environment,
            **self.rig.environment,
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }

    def pulumi(self, *arguments: str, timeout_s: float | None = None) -> Outcome:
        """Run one pulumi command, under the role of the workflow that runs it."""
        purpose = {"preview": Purpose.PREVIEW, "up": Purpose.DEPLOY, "destroy": Purpose.DEPLOY}.get(arguments[0])
        command = (str(PULUMI), *arguments, "--non-interactive", "--color", "never")
        return self.run(*command, timeout_s=timeout_s, more=self.credentials(purpose))

    def credentials(self, purpose: Purpose | None) -> dict[str, str]:
        """Return the variables of a workflow's role; none, which leaves the administrator, if no role is for it.

        A role has what `scripts/deployer_policy.py` prints for the stack as its file is now. Settings that are refused
        give no policy: the role keeps the one before.
        """
        if purpose is None:
            return {}
        with contextlib.suppress(Refused):
            self._granted[purpose] = load(YamlSource.read(self.project / f"Pulumi.{self.name}.yaml"))
        granted = self._granted.get(purpose)
        return self.workflows.caller(purpose, granted).variables() if granted else {}

    def policed(self) -> tuple[str, ...]:
        """Return the options that put an update under the policy pack, at the stack's own levels."""
        settings = load(YamlSource.read(self.project / f"Pulumi.{self.name}.yaml"))
        return policing.options(settings.policy.levels, self.folder)

    def script(self, name: str, *arguments: str) -> Outcome:
        """Run one of the project's commands on this stack; a rollback and its plan have a workflow's role each."""
        rollback = Purpose.PLAN if "--dry-run" in arguments else Purpose.ROLLBACK
        more = self.credentials(rollback if name == "rollback" else None)
        return self.run(*self._script(name, *arguments), more=more)
