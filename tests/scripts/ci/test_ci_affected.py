"""Which stacks a change concerns: too many rather than too few, and never a stack that lives on one machine."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.contract import ExitCode
from scripts.ci import affected
from tests.tools.projects import ROOT

if TYPE_CHECKING:
    from pathlib import Path

STACKS = {"local": "local", "dev": "ecs", "staging": "ecs", "gcp": "cloudrun"}
CLOUD = ["dev", "gcp", "staging"]


@pytest.mark.parametrize(
    ("changed", "stacks"),
    [
        ([], []),
        (["README.md", "docs/targets/ecs.md", "docs/x.png", "tests/conftest.py", "benchmarks/ecs.py"], []),
        ([".github/workflows/tests.yml", "Makefile", "requirements/dev.txt", "tools/linters/go.sum"], []),
        (["Pulumi.dev.yaml"], ["dev"]),
        (["Pulumi.gone.yaml"], []),
        (["Pulumi.local.yaml"], []),
        (["components/mlflow_backend/local/server.py"], []),
        (["components/mlflow_backend/ecs/backend.py"], ["dev", "staging"]),
        (["components/mlflow_backend/ecs/render.py", "docs/x"], ["dev", "staging"]),
        (["components/mlflow_backend/ecs/backend.py", "Pulumi.gcp.yaml"], CLOUD),
        (["components/mlflow_backend/naming.py"], CLOUD),
        (["components/mlflow_backend/ecs.py"], CLOUD),
        (["Pulumi.yaml"], CLOUD),
        (["requirements/runtime.txt"], CLOUD),
        (["components/mlflow_backend/policy/rules.py"], CLOUD),
        (["server/Dockerfile"], CLOUD),
        (["documents/never-heard-of"], CLOUD),
    ],
)
def test_what_a_change_concerns(changed: list[str], stacks: list[str]) -> None:
    """A part of one target concerns its stacks; what is not known to be harmless concerns all."""
    assert affected.affected(changed, STACKS) == stacks


def test_the_targets_of_this_repository() -> None:
    """The stacks that ship are read as what they are."""
    assert affected.targets(ROOT).items() >= {"local": "local", "dev": "ecs", "staging": "ecs"}.items()


def test_every_harmless_name_is_one_that_exists() -> None:
    """A folder that moved would leave a rule that lets the new place through, or holds nothing."""
    for name in (*affected.HARMLESS_FOLDERS, *affected.HARMLESS_FILES):
        assert (ROOT / name).exists(), name


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with two stacks and two commits: the second renames a part of ecs and changes a document."""
    folder = tmp_path / "repository"
    (folder / "components" / "mlflow_backend" / "ecs").mkdir(parents=True)
    (folder / "Pulumi.dev.yaml").write_text("config:\n  mlflow-backend:target: ecs\n")
    (folder / "Pulumi.here.yaml").write_text("config:\n  mlflow-backend:target: 'local'\n")
    (folder / "components" / "mlflow_backend" / "ecs" / "old.py").write_text("A = 1\n" * 20)

    def git(*arguments: str) -> None:
        identity = ("-c", "user.name=t", "-c", "user.email=t@example.com", "-c", "commit.gpgsign=false")
        subprocess.run(("git", *identity, *arguments), cwd=folder, check=True, timeout=30, capture_output=True)

    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "one")
    git("mv", "components/mlflow_backend/ecs/old.py", "README.md")
    git("commit", "--quiet", "--message", "two")
    return folder


def test_a_rename_counts_for_where_it_was(repository: Path) -> None:
    """A module renamed to a document is a module that is gone."""
    assert affected.changed_files("HEAD~1", repository) == ["README.md", "components/mlflow_backend/ecs/old.py"]


def test_the_workflow_gets_the_answer(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The output is a JSON list, as a matrix wants it; people read one stack a line."""
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    assert affected.main(["--base", "HEAD~1"], root=repository) is ExitCode.DONE
    assert (tmp_path / "output").read_text() == 'stacks=["dev"]\n'
    assert capsys.readouterr().out == "dev\n"


@pytest.mark.parametrize(
    ("arguments", "stacks"),
    [
        (("--stack", "dev"), ["dev"]),
        (("--base", affected.NO_COMMIT, "--platform", "aws"), ["dev", "mistyped"]),
        (("--base", "HEAD"), []),
        (("--base", "HEAD~1", "--only", "here"), []),
        (("--stack", "dev", "--platform", "aws"), ["dev"]),
        (("--stack", "cloud", "--platform", "aws"), []),
        (("--stack", "mistyped", "--platform", "aws"), ["mistyped"]),
    ],
)
def test_stacks_by_name_and_from_the_beginning(
    repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], stacks: list[str]
) -> None:
    """A run by hand names a stack; the first push of a branch has no commit before it.

    A stack that the workflow has no login for is left out. One whose target is mistyped is not: somebody must see it.
    """
    (repository / "Pulumi.cloud.yaml").write_text("config:\n  mlflow-backend:target: cloudrun\n")
    (repository / "Pulumi.mistyped.yaml").write_text("config:\n  mlflow-backend:target: esc\n")
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    assert affected.main(list(arguments), root=repository) is ExitCode.DONE
    assert json.loads((tmp_path / "output").read_text().removeprefix("stacks=")) == stacks


def test_what_cannot_be_compared_fails(repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unknown commit is no answer 'nothing is concerned'."""
    assert affected.main(["--base", "0123456789"], root=repository) is ExitCode.PLATFORM_FAILED
    assert "git cannot compare with 0123456789" in capsys.readouterr().err
    assert affected.main(["--stack", "nowhere"], root=repository) is ExitCode.USAGE
    assert "there is no Pulumi.nowhere.yaml; stacks: dev, here" in capsys.readouterr().err
