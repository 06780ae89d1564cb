"""A new target is a folder, its line in the registry and a stack file: a toy shows it through engine and commands.

The toy (tests/engine/toy) is some 400 lines, of which serve.py stands for MLflow. It is put into a copy of the package,
in which nothing else is edited but the registry.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from mlflow_backend import targets
from mlflow_backend.contract import ExitCode
from tests.engine.project import ROOT
from tests.engine.stack import LocalStack

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = [pytest.mark.engine]

TOY = Path(__file__).parent / "toy"
FIRST, SECOND = "1", "2"


class ToyStack(LocalStack):
    """A stack of the toy target, in a checkout that has it."""

    def __init__(self, folder: Path) -> None:
        """Copy what a target is added to, and add it."""
        super().__init__(folder, "try")
        package = folder / "project" / "components" / "mlflow_backend"
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(Path(targets.__file__).parent, package, symlinks=True, ignore=ignored)
        shutil.copytree(ROOT / "scripts", folder / "project" / "scripts", ignore=ignored)
        for name in ("server", ".venv"):
            (folder / "project" / name).symlink_to(ROOT / name)
        shutil.copytree(TOY, package / "toy", ignore=ignored)
        registry = package / "targets.py"
        first, *rest = registry.read_text().splitlines(keepends=True)
        line = next(number for number, each in enumerate(rest) if "mlflow_backend.local.target" in each)
        rest.insert(line, '    "toy": "mlflow_backend.toy.target",\n')
        registry.write_text("".join([first, *rest]))

    @property
    def environment(self) -> dict[str, str]:
        """The copy is found before the package that is installed here."""
        return {**super().environment, "PYTHONPATH": f"{self.project / 'components'}:{self.project}:{ROOT}"}

    def command(self, name: str, *arguments: str, code: int = ExitCode.DONE) -> str:
        """Run one of the project's commands as a user does, and return what it prints."""
        done = subprocess.run(
            [sys.executable, "-m", f"scripts.{name}", *arguments],
            cwd=self.project, env=self.environment, capture_output=True, text=True, timeout=200, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done.stdout


@pytest.fixture
def toy(tmp_path: Path) -> Iterator[ToyStack]:
    """A stack of the toy target that is not deployed yet."""
    made = ToyStack(tmp_path / "stack")
    made.settings["target"] = "toy"
    made.write_settings(server={"workers": 1})
    yield made
    made.pulumi("destroy", "--yes", "--stack", made.name)


def test_a_target_is_added_by_its_folder_and_one_line(toy: ToyStack) -> None:
    """Preview, update, verify, list, roll back, status and logs, by the stack's file and by the locator alone."""
    assert "create" in toy.command("preview", "--stack", toy.name)
    toy.must_up("--skip-preview")
    toy.write_settings(server={"workers": 2})
    toy.must_up("--skip-preview")
    assert toy.output("release")["revision"] == SECOND
    address = toy.output("locator")
    stack_file = toy.project / f"Pulumi.{toy.name}.yaml"
    kept = yaml.safe_load(stack_file.read_text())
    stack_file.unlink()
    assert "revision 2    serving" in toy.command("status", "--locator", address)
    assert ": PASS (core: " in toy.command("verify", "--locator", address)
    assert "serving at http://127.0.0.1" in toy.command("logs", "--locator", address)
    toy.command("rollback", "--locator", address, "--to", FIRST, "--reason", "slow", "--yes")
    stack_file.write_text(yaml.safe_dump(kept))
    listed = json.loads(toy.command("releases", "--stack", toy.name, "--json"))["releases"]
    assert [each["revision"] for each in listed if each["current"]] == [FIRST]
    withheld = toy.up("--skip-preview")
    assert not withheld.ok
    assert f"pinned to {FIRST}" in withheld.text
    toy.command("rollback", "--stack", toy.name, "--unpin")
    toy.must_up("--skip-preview")
    assert "serving" in toy.command("status", "--stack", toy.name)
    assert toy.output("verification")["verdict"] == "pass"


def test_a_locator_of_nothing_is_refused(toy: ToyStack) -> None:
    """By every command that takes one, and nothing is made."""
    for name, *more in (("status",), ("logs",), ("releases",), ("verify",), ("rollback", "--yes")):
        toy.command(name, "--locator", str(toy.folder / "nowhere"), *more, code=ExitCode.REFUSED)
    assert not (toy.folder / "nowhere").exists()
