"""Every linter finds what it is there for, git runs it before a commit, and no secret gets past."""

from __future__ import annotations

import os
import shutil
import subprocess
from typing import TYPE_CHECKING

import pytest
import yaml

from tests.tools.projects import ROOT
from tools.bootstrap import linters
from tools.bootstrap.layout import Layout, find_layout
from tools.bootstrap.steps import StepFailedError

if TYPE_CHECKING:
    from pathlib import Path

PRE_COMMIT = ROOT / ".venv" / "bin" / "pre-commit"

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
    "shellcheck": ("bad.sh", "#!/bin/sh\necho clean\n", "#!/bin/sh\nrm -r $1\n", "SC2086"),
    "secrets": ("settings.py", 'access_key = ""\n', f'access_key = "{KEY_ID}"\n', "aws-access-token"),
}
"""By the linter's name: the file, a clean text, a bad text, and a word of what is then said."""


@pytest.fixture(scope="module", autouse=True)
def programs() -> None:
    """Have the linters in Go built, or say visibly why they cannot be."""
    try:
        linters.ensure(find_layout(dict(os.environ)), dict(os.environ))
    except StepFailedError as failed:
        if "no `go` on PATH" not in str(failed):
            raise
        pytest.skip(str(failed))
    assert linters.main() == 0


def run(folder: Path, *command: object) -> tuple[int, str]:
    """Run a program in a repository, with a home of its own; its exit code and what it printed."""
    identity = {f"GIT_{who}_{what}": "x@example.com" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}
    environment = {**os.environ, **identity, "PRE_COMMIT_HOME": str(folder / ".git" / "pre-commit"), "NO_COLOR": "1"}
    done = subprocess.run(
        [str(word) for word in command],
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=120,
        check=False,
    )
    return done.returncode, done.stdout


def repository(folder: Path, name: str, text: str) -> Path:
    """A repository with one file in its index, under the settings and with the programs of this one."""
    assert run(ROOT, "git", "init", "--quiet", folder)[0] == 0
    linked = (".venv", ".tools", "tools", "components", "server")
    for program in linked:
        (folder / program).symlink_to(ROOT / program)
    (folder / ".git" / "info" / "exclude").write_text("".join(f"/{program}\n" for program in linked))
    for settings in (".gitleaks.toml", ".pre-commit-config.yaml"):
        shutil.copy(ROOT / settings, folder)
    pyproject = (ROOT / "pyproject.toml").read_text()
    mypy = next(line for line in pyproject.splitlines() if line.startswith("files = ["))
    (folder / "pyproject.toml").write_text(pyproject.replace(mypy, 'files = ["bad.py"]'))
    write(folder, name, text)
    return folder


def write(folder: Path, name: str, text: str) -> None:
    """Put a file into the index."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    run(folder, "git", "add", "--all")


@pytest.mark.parametrize("case", CASES)
def test_a_bad_file_makes_its_linter_red(case: str, tmp_path: Path) -> None:
    """A linter that is called wrongly is green for ever: each passes a clean file and finds the bad one by its rule."""
    name, clean, bad, said = CASES[case]
    linter = case.split(maxsplit=1)[0]
    folder = repository(tmp_path / "tree", name, clean)
    code, out = run(folder, PRE_COMMIT, "run", linter, "--all-files")
    assert (code, "Passed" in out) == (0, True), out
    write(folder, name, bad)
    code, out = run(folder, PRE_COMMIT, "run", linter, "--all-files")
    assert code == 1
    assert said in out


def test_every_linter_is_tried() -> None:
    """A linter is added together with the file that it finds."""
    (repo,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert repo["repo"] == "local", "a repository elsewhere would be fetched"
    assert {case.split(maxsplit=1)[0] for case in CASES} | {"imports", "server-imports"} == {
        hook["id"] for hook in repo["hooks"]
    }


@pytest.mark.parametrize(
    ("module", "text", "said"),
    [
        (
            "verify/bad.py",
            "from mlflow_backend.ecs import logs",
            "mlflow_backend.verify.bad -> mlflow_backend.ecs.logs",
        ),
        ("report/bad.py", "import socket", "mlflow_backend.report.bad -> socket"),
        ("report/bad.py", "from tools import pages", "mlflow_backend.report.bad -> tools"),
    ],
)
def test_an_import_that_is_not_allowed_is_red(tmp_path: Path, module: str, text: str, said: str) -> None:
    """What checks a backend knows no target, what decides does not act, and a wheel has no repository around it."""
    folder = repository(tmp_path / "tree", "bad.py", "")
    package = folder / "mlflow_backend"
    carried = shutil.ignore_patterns("*_package")
    shutil.copytree(ROOT / "components" / "mlflow_backend", package, ignore=carried)
    lint = ("env", f"PYTHONPATH={folder}", PRE_COMMIT, "run", "imports", "--all-files")
    code, out = run(folder, *lint)
    assert code == 0, out
    (package / module).write_text(f"{text}\n")
    code, out = run(folder, *lint)
    assert code == 1
    assert said in out


def test_the_servers_pure_modules_are_checked_too(tmp_path: Path) -> None:
    """They run in another environment, so they have a contract of their own."""
    folder = repository(tmp_path / "tree", "bad.py", "")
    (folder / "server").unlink()
    shutil.copytree(ROOT / "server" / "src", folder / "server" / "src")
    shutil.copy(ROOT / "server" / ".importlinter", folder / "server")
    lint = (PRE_COMMIT, "run", "server-imports", "--all-files")
    assert run(folder, *lint)[0] == 0
    with (folder / "server" / "src" / "mlflow_backend_server" / "access" / "scopes.py").open("a") as module:
        module.write("import subprocess\n")
    code, out = run(folder, *lint)
    assert code == 1
    assert "mlflow_backend_server.access.scopes -> subprocess" in out


def test_a_commit_with_a_bad_file_is_refused(tmp_path: Path) -> None:
    """`make hooks` installs them, without a network: a clean commit is made, and one with a finding is not."""
    folder = repository(tmp_path / "tree", "bad.py", '"""Nothing."""\n')
    assert run(folder, PRE_COMMIT, "install")[0] == 0
    code, out = run(folder, "git", "commit", "--message", "clean")
    assert code == 0, out
    write(folder, "bad.py", CASES["ruff"][2])
    code, out = run(folder, "git", "commit", "--message", "bad")
    assert code == 1
    assert "F401" in out


@pytest.mark.parametrize(("name", "found"), [("new.py", True), (".hidden/new.txt", True), ("ignored/new.py", False)])
def test_a_secret_in_the_tree_is_found_and_not_printed(tmp_path: Path, name: str, *, found: bool) -> None:
    """In what git has or would take, and there only; the log of a public workflow must not spread it."""
    folder = repository(tmp_path / "tree", ".gitignore", "/ignored/\n")
    (folder / name).parent.mkdir(exist_ok=True)
    (folder / name).write_text(CASES["secrets"][2])
    code, out = run(folder, PRE_COMMIT, "run", "secrets")
    assert code == int(found), out
    assert (f"File:        {name}" in out) is found
    assert KEY_ID not in out


def test_this_tree_is_clean_but_for_types(tmp_path: Path) -> None:
    """What is quick to check is checked wherever the tests run; mypy is `make lint`."""
    code, out = run(ROOT, "env", "SKIP=mypy", f"PRE_COMMIT_HOME={tmp_path}", PRE_COMMIT, "run", "--all-files")
    assert code == 0, out


def test_a_linter_that_is_not_there_is_no_pass(tmp_path: Path) -> None:
    """One that cannot be started must not count as one that found nothing."""
    folder = repository(tmp_path / "tree", "bad.py", '"""Nothing."""\n')
    (folder / ".venv").unlink()
    code, out = run(folder, PRE_COMMIT, "run", "ruff", "--all-files")
    assert code == 1
    assert "not found" in out


def test_without_go_the_set_up_says_so(tmp_path: Path) -> None:
    """A developer without Go learns that before a compiler's message."""
    layout = Layout(root=ROOT, cache=tmp_path)
    with pytest.raises(StepFailedError, match=r"no `go` on PATH; install Go"):
        linters.ensure(layout, {"PATH": str(tmp_path)})
    assert not (tmp_path / "linters").exists()
