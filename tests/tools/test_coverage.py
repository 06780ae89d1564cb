"""The lists of pyproject.toml name what is there: pure modules, measured and held pure alike, and what is mutated."""

from __future__ import annotations

import ast
import configparser
import re
import subprocess
import tomllib

import pytest

from tests.tools.projects import ROOT

TOOLS = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
MEASURED = TOOLS["coverage"]["report"]["include"]


def held_pure() -> set[str]:
    """The modules that import-linter holds to import nothing that acts."""
    (contract,) = [each for each in TOOLS["importlinter"]["contracts"] if "pulumi" in each.get("forbidden_modules", ())]
    server = configparser.ConfigParser()
    server.read(ROOT / "server" / ".importlinter")
    return {*contract["source_modules"], *server["importlinter:contract:pure"]["source_modules"].split()}


@pytest.mark.parametrize("pattern", MEASURED)
def test_a_pattern_names_a_module(pattern: str) -> None:
    """A module that moved would no longer be held to anything."""
    assert list(ROOT.glob(pattern))


def test_what_is_measured_is_checked_to_be_pure() -> None:
    """The two lists are one; `affected` is measured too, and asks git besides what it decides."""
    modules = {re.sub(r"^components/|^server/src/|\.py$", "", each).replace("/", ".") for each in MEASURED}
    assert modules - {"scripts.ci.affected"} == held_pure()


def test_what_calls_itself_pure_is_measured() -> None:
    """A new pure module that nobody listed would be measured by nobody."""
    listed = {path for pattern in MEASURED for path in ROOT.glob(pattern)}
    modules = {
        path
        for folder in ("components", "scripts", "server/src", "tools")
        for path in (ROOT / folder).rglob("*.py")
        if re.search(
            r"^Pure: |\. Pure(\.|: |, |;)", (ast.get_docstring(ast.parse(path.read_text())) or "").split("\n")[0]
        )
    }
    assert modules - listed == set()
    assert len(modules) > 40


@pytest.mark.parametrize(
    ("rows", "red"),
    [
        (["a.py  9  0  4  0  100.0%", "b.py  9  1  4  1  95.0%   7", "TOTAL  18  1  8  1  97.0%"], []),
        (["a.py  99  0  4  0  100.0%", "b.py  9  1  4  1  94.9%   7", "TOTAL  108  1  8  1  99.0%"], ["b.py"]),
        (["No data to report."], ["nothing"]),
        ([], ["nothing"]),
    ],
)
def test_one_module_below_the_limit_is_red(rows: list[str], red: list[str]) -> None:
    """A large module hides no small one, and no report is no pass: the recipe's own judgement of coverage's table."""
    command = ["make", "--no-print-directory", "--dry-run", "coverage"]
    recipe = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=True).stdout
    judge = recipe[recipe.index("awk ") :]
    table = "\n".join(["Name  Stmts   Miss Branch BrPart  Cover   Missing", "-----", *rows, ""])
    done = subprocess.run(["sh", "-c", judge], input=table, capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == int(bool(red)), done
    assert [line.split()[0] for line in done.stdout.splitlines()[:-1] if line] == [
        each for each in red if each != "nothing"
    ]


def test_what_is_mutated_and_its_tests_are_there() -> None:
    """A module or a test file that moved would be mutated, or asked, no more; `components` is `src` in the copy."""
    settings = TOOLS["mutmut"]
    modules = [name.replace("src/", "components/", 1) for name in settings["only_mutate"]]
    assert all((ROOT / name).is_file() for name in (*modules, *settings["pytest_add_cli_args_test_selection"]))
