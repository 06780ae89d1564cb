"""The project's own program on a rig: the shipped stack files, by the real engine, with the stand-in provider."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
from typing import TYPE_CHECKING, Any, Final

import yaml

from mlflow_backend.commands import policing
from mlflow_backend.contract import Refused
from mlflow_backend.ecs.permissions import Purpose
from mlflow_backend.server import parse_version
from mlflow_backend.settings import YamlSource, load
from mlflow_backend.vulnerabilities.table import of_version
from tests.engine.stack import PULUMI, ROOT, Outcome
from tests.rig.aws.workflows import Workflows
from tests.rig.standin import plugin

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mlflow_backend.settings import Settings
    from tests.rig.aws.rig import AwsRig

UPDATE_TIMEOUT_S: Final = 540
PROGRAM: Final = ROOT / "tests" / "rig" / "standin" / "program" / "__main__.py"
"""The project's program with containers that start at once in MLflow's place."""


class AwsStack:
    """One of the shipped stacks in a project of its own, with a file backend of its own."""

    def __init__(self, folder: Path, rig: AwsRig, name: str = "dev", *, program: Path = ROOT / "__main__.py") -> None:
        """Lay out the project; nothing is deployed."""
        self.folder, self.rig, self.name = folder, rig, name
        self.workflows = Workflows(name)
        self._granted: dict[Purpose, Settings] = {}
        self.project, self.home = folder / "project", folder / "home"
        self.project.mkdir(parents=True)
        (self.project / "scripts").symlink_to(ROOT / "scripts")
        shutil.copy(program, self.project / "__main__.py")
        definition = yaml.safe_load((ROOT / "Pulumi.yaml").read_text())
        definition["runtime"]["options"]["virtualenv"] = str(ROOT / ".venv")
        (self.project / "Pulumi.yaml").write_text(yaml.safe_dump(definition))
        shipped = yaml.safe_load((ROOT / f"Pulumi.{name}.yaml").read_text())["config"]
        self.settings: dict[str, Any] = {key.partition(":")[2]: value for key, value in shipped.items()}
        (folder / "state").mkdir()
        plugin.install(self.home, "pulumi_aws")
        self.write_settings()
        made = self.pulumi("stack", "init", name)
        assert made.ok, made.text

    def write_settings(self, **sections: Mapping[str, Any]) -> None:
        """Change single settings of sections, and write the stack's file."""
        for section, changes in sections.items():
            self.settings[section] = {**self.settings.get(section, {}), **changes}
        config = {f"mlflow-backend:{key}": value for key, value in self.settings.items()}
        path = self.project / f"Pulumi.{self.name}.yaml"
        # The engine keeps the passphrase's salt in the same file.
        kept = yaml.safe_load(path.read_text()) if path.exists() else {}
        path.write_text(yaml.safe_dump({**kept, "config": config}))

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
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("PULUMI_", "AWS_"))}
        return {
            **kept,
            **self.rig.environment,
            "PATH": f"{ROOT / '.tools' / 'bin'}:{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}",
            "PULUMI_HOME": str(self.home),
            "PULUMI_BACKEND_URL": f"file://{self.folder / 'state'}",
            "PULUMI_CONFIG_PASSPHRASE": "for tests only",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION": "true",
        }

    def run(self, *argv: str, timeout_s: float = UPDATE_TIMEOUT_S, more: Mapping[str, str] | None = None) -> Outcome:
        """Run a command in the project, within a deadline, with `more` variables of its own."""
        done = subprocess.run(
            argv,
            cwd=self.project,
            env={**self.environment, **(more or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout_s,
            check=False,
        )
        return Outcome(done.returncode, done.stdout)

    def pulumi(self, *arguments: str) -> Outcome:
        """Run one pulumi command, under the role of the workflow that runs it."""
        purpose = {"preview": Purpose.PREVIEW, "up": Purpose.DEPLOY, "destroy": Purpose.DEPLOY}.get(arguments[0])
        command = (str(PULUMI), *arguments, "--non-interactive", "--color", "never")
        return self.run(*command, more=self.credentials(purpose))

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

    def up(self, *flags: str) -> Outcome:
        """Run `pulumi up`, without a preview of its own."""
        return self.pulumi("up", "--yes", "--skip-preview", "--stack", self.name, *flags)

    def policed(self) -> tuple[str, ...]:
        """Return the options that put an update under the policy pack, at the stack's own levels."""
        settings = load(YamlSource.read(self.project / f"Pulumi.{self.name}.yaml"))
        return policing.options(settings, self.folder)

    def must_up(self, *flags: str) -> Outcome:
        """Run `pulumi up`, and show what it said where it fails."""
        outcome = self.up(*flags)
        assert outcome.ok, outcome.text
        return outcome

    def script(self, name: str, *arguments: str) -> Outcome:
        """Run one of the project's commands on this stack; a rollback and its plan have a workflow's role each."""
        python = str(ROOT / ".venv" / "bin" / "python")
        rollback = Purpose.PLAN if "--dry-run" in arguments else Purpose.ROLLBACK
        more = self.credentials(rollback if name == "rollback" else None)
        return self.run(python, "-m", f"scripts.{name}", "--stack", self.name, *arguments, more=more)

    def outputs(self) -> dict[str, Any]:
        """Return the stack's outputs."""
        done = self.pulumi("stack", "output", "--json", "--stack", self.name)
        assert done.ok, done.text
        return dict(json.loads(done.text))

    def destroy(self) -> Outcome:
        """Run `pulumi destroy`."""
        return self.pulumi("destroy", "--yes", "--skip-preview", "--stack", self.name)
