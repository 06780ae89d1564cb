"""Every linter of `make lint` finds what it is there for, and the hooks before a commit are the same linters."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.tools.projects import ROOT
from tools import lint
from tools.bootstrap import linters
from tools.bootstrap.layout import Layout, find_layout
from tools.bootstrap.steps import StepFailedError

if TYPE_CHECKING:
    from pathlib import Path

# Put together here, so that this file is no finding itself.
KEY_ID = "AKIA" + "Q3EGRVJ6WZ5TXNKB"

CLEAN_WORKFLOW = """\
name: clean
on: push
permissions: {}
jobs:
  clean:
    runs-on: ubuntu-latest
    steps:
      - run: echo clean
"""

CASES = {
    "ruff": ("bad.py", '"""Nothing."""\n', '"""Unused."""\n\nimport os\n', "F401"),
    "format": ("bad.py", 'a = "1"\n', "a  =  '1'\n", "would be reformatted"),
    "mypy": ("bad.py", "a: int = 1\n", 'a: int = "1"\n', "Incompatible types"),
    "actionlint": (
        ".github/workflows/bad.yml",
        CLEAN_WORKFLOW,
        CLEAN_WORKFLOW.replace("echo clean", "echo ${{ github.nothing }}"),
        'property "nothing" is not defined',
    ),
    "actionlint with shellcheck": (
        ".github/workflows/bad.yml",
        CLEAN_WORKFLOW,
        CLEAN_WORKFLOW.replace("echo clean", "cd $HOME/x; echo $FOLDER"),
        "shellcheck reported issue",
    ),
    "zizmor": (
        ".github/workflows/bad.yml",
        CLEAN_WORKFLOW,
        CLEAN_WORKFLOW.replace("run: echo clean", 'run: echo "${{ github.event.pull_request.title }}"'),
        "template-injection",
    ),
    "zizmor on pins": (
        ".github/workflows/bad.yml",
        CLEAN_WORKFLOW,
        CLEAN_WORKFLOW.replace("run: echo clean", "uses: somebody/something@v1"),
        "unpinned-uses",
    ),
    "hadolint": ("Dockerfile", "FROM scratch\n", "FROM debian\nRUN cd /tmp && ls\n", "DL3006"),
    "shellcheck": ("bad", "#!/bin/sh\necho clean\n", "#!/bin/sh\nrm -r $1\n", "SC2086"),
    "secrets": ("settings.py", 'access_key = ""\n', f'access_key = "{KEY_ID}"\n', "aws-access-token"),
}
"""By the linter's name: the file, a clean text, a bad text, and a word of what is then said."""


def linter_of(case: str) -> str:
    """The linter that a case is about: its first word."""
    return case.split(maxsplit=1)[0]


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    """Have the linters in Go built, or say visibly why they cannot be."""
    try:
        linters.ensure(find_layout(dict(os.environ)), dict(os.environ))
    except StepFailedError as failed:
        if "no `go` on PATH" not in str(failed):
            raise
        pytest.skip(str(failed))


def tree(folder: Path, name: str, text: str) -> Path:
    """A repository with one file, under the settings of this one."""
    subprocess.run(("git", "init", "--quiet", folder), check=True, timeout=30)
    pyproject = (ROOT / "pyproject.toml").read_text()
    files = next(line for line in pyproject.splitlines() if line.startswith("files = ["))
    (folder / "pyproject.toml").write_text(pyproject.replace(files, 'files = ["bad.py"]'))
    (folder / ".gitleaks.toml").write_text((ROOT / ".gitleaks.toml").read_text())
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return folder


@pytest.mark.parametrize("case", CASES)
def test_a_bad_file_makes_its_linter_red(case: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A linter that is called wrongly is green for ever: each passes a clean file and finds the bad one by its rule."""
    name, clean, bad, said = CASES[case]
    linter = linter_of(case)
    assert lint.main(["--root", str(tree(tmp_path / "clean", name, clean)), linter]) == 0
    assert f"ok   {linter}" in capsys.readouterr().out
    assert lint.main(["--root", str(tree(tmp_path / "bad", name, bad)), linter]) == 1
    out = capsys.readouterr().out
    assert f"FAIL {linter}" in out
    assert said in out


def test_every_linter_is_tried() -> None:
    """A linter is added together with the file that it finds."""
    assert {linter_of(case) for case in CASES} | {"imports"} == {linter.name for linter in lint.LINTERS}


def test_an_import_against_the_layers_is_red(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What checks a backend knows no target: a new one would otherwise change it."""
    package = tree(tmp_path, "README.md", "") / "mlflow_backend"
    shutil.copytree(ROOT / "components" / "mlflow_backend", package, ignore=shutil.ignore_patterns("server_package"))
    assert lint.main(["--root", str(tmp_path), "imports"]) == 0
    (package / "verify" / "bad.py").write_text("from mlflow_backend.ecs import status\n")
    assert lint.main(["--root", str(tmp_path), "imports"]) == 1
    assert "mlflow_backend.verify.bad -> mlflow_backend.ecs.status" in capsys.readouterr().out


def test_what_is_found_is_not_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The log of a public workflow must not spread the secret that it warns of."""
    name, _, bad, _ = CASES["secrets"]
    assert lint.main(["--root", str(tree(tmp_path, name, bad)), "secrets"]) == 1
    assert KEY_ID not in capsys.readouterr().out


def test_this_tree_is_clean_but_for_python(capsys: pytest.CaptureFixture[str]) -> None:
    """What is quick to check is checked wherever the tests run; ruff and mypy are `make lint`."""
    quick = [linter.name for linter in lint.LINTERS if linter.name != "mypy"]
    assert lint.main(quick) == 0, capsys.readouterr().out


def test_the_hooks_are_the_linters() -> None:
    """A hook and `make lint` never disagree: the hook is a call of the same table."""
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repo["repo"] == "local"
    hooks = {hook["id"]: hook["entry"] for hook in repo["hooks"]}
    assert hooks == {linter.name: f".venv/bin/python -m tools.lint {linter.name}" for linter in lint.LINTERS}


def test_the_hooks_are_what_pre_commit_understands() -> None:
    """A mistake in the file would show only when somebody commits."""
    command = (ROOT / ".venv" / "bin" / "pre-commit", "validate-config", ".pre-commit-config.yaml")
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_an_unknown_linter_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """A typing error is no green run of nothing."""
    with pytest.raises(SystemExit) as ended:
        lint.main(["rough"])
    assert ended.value.code == 2
    assert "no linter rough" in capsys.readouterr().err


def test_a_missing_program_is_no_pass(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A linter that cannot be started must not count as one that found nothing."""
    missing = lint.Linter(name="missing", argv=("no-such-linter",))
    monkeypatch.setattr(lint, "LINTERS", (missing,))
    subprocess.run(("git", "init", "--quiet", tmp_path), check=True, timeout=30)
    assert lint.main(["--root", str(tmp_path)]) == 2


def test_without_go_the_set_up_says_so(tmp_path: Path) -> None:
    """A developer without Go learns that before a compiler's message."""
    layout = Layout(root=ROOT, cache=tmp_path)
    with pytest.raises(StepFailedError, match=r"no `go` on PATH; install Go"):
        linters.ensure(layout, {"PATH": str(tmp_path)})
    assert not [left for left in (tmp_path / "linters").iterdir() if not left.name.endswith(".lock")]
