"""The documentation: what it links to, calls and names is there, and what is made of parsers is what they give."""

from __future__ import annotations

import ast
import datetime as dt
import functools
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mlflow_backend import targets
from mlflow_backend.settings import YamlSource, load
from tests.tools.projects import ROOT, files_of_the_tree
from tools import pages

DOCUMENTS = files_of_the_tree("*.md")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
MAKE = re.compile(r"`make ([a-z-]+)[^`]*`|^ *(?:\$ )?make ([a-z-]+)", re.MULTILINE)
MODULE = re.compile(r"python3? -m ((?:scripts|tools|benchmarks|mlflow_backend)\b(?:\.\w+)*)")
DECISION = re.compile(r"docs/adr/([\w-]+\.md)|\bADR (\d+)\b")
SCRIPT = re.compile(r"(?<![\w/.])((?:scripts|tools|components|tests|server|schema|docs)/[\w./-]*\w)")


def text(path: Path) -> str:
    """One document."""
    return (ROOT / path).read_text(encoding="utf-8")


@functools.cache
def anchors(path: Path) -> frozenset[str]:
    """The anchors that GitHub makes of a document's headings."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings)


def test_each_pattern_finds_what_it_is_for() -> None:
    """A pattern that matches nothing any more makes every test with it green."""
    everything = "\n".join(text(path) for path in DOCUMENTS)
    found = {pattern.pattern: len(pattern.findall(everything)) for pattern in (LINK, MAKE, MODULE, SCRIPT, DECISION)}
    assert min(found.values()) > 20, found


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_every_link_leads_somewhere(path: Path) -> None:
    """A link into the repository names a file that is there, and a heading that it has."""
    for target in LINK.findall(re.sub(r"```.*?```|<!--.*?-->", "", text(path), flags=re.DOTALL)):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, anchor = target.partition("#")
        found = (ROOT / path).parent / name if name else ROOT / path
        assert found.exists(), f"{path}: {target}"
        if anchor:
            assert anchor in anchors(found.resolve()), f"{path}: {target}"


@pytest.mark.parametrize("name", targets.MODULES)
def test_the_day_after_a_target_was_deployed_has_its_runbooks(name: str) -> None:
    """Whoever operates a backend begins at its target's page, and there are backups on each."""
    (day_two,) = re.findall(r"^## Day two\n(.*?)^## ", text(Path(f"docs/targets/{name}.md")), re.MULTILINE | re.DOTALL)
    linked = {Path(target.partition("#")[0]).name for target in LINK.findall(day_two)}
    assert {"backup.md", "monitoring.md", "maintenance.md"} <= linked


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_every_table_is_whole(path: Path) -> None:
    """A row that an empty line cuts off its table, or that has another number of cells, is shown as text or cut."""
    prose = re.sub(r"^```.*?^```", "", text(path), flags=re.DOTALL | re.MULTILINE)
    for rows in re.findall(r"(?:^\|.*\n)+", prose, re.MULTILINE):
        first, second, *_ = [*rows.splitlines(), ""]
        assert re.fullmatch(r"\|(?:[ :-]+\|)+", second), f"{path}: {first}"
        for row in rows.splitlines():
            assert row.replace("\\|", "").count("|") == second.count("|"), f"{path}: {row}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_every_make_target_that_is_named_exists(path: Path) -> None:
    """What a newcomer types is what the Makefile has."""
    public = re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
    for match in MAKE.finditer(text(path)):
        assert (match[1] or match[2]) in public, f"{path}: make {match[1] or match[2]}"


@pytest.mark.parametrize("path", DOCUMENTS, ids=str)
def test_every_module_that_is_called_exists(path: Path) -> None:
    """`python -m` of something that moved is found here, not at night."""
    for name in MODULE.findall(text(path)):
        folder = ROOT / "components" if name.startswith("mlflow_backend") else ROOT
        place = folder.joinpath(*name.split("."))
        assert place.with_suffix(".py").exists() or (place / "__main__.py").exists(), f"{path}: {name}"


@pytest.mark.parametrize("path", [path for path in DOCUMENTS if path.parts[:2] != ("docs", "adr")], ids=str)
def test_every_file_that_is_named_exists(path: Path) -> None:
    """A path in a document is a path in the tree; decisions keep the names of their day."""
    for name in SCRIPT.findall(re.sub(r"^```.*?^```", "", text(path), flags=re.DOTALL | re.MULTILINE)):
        place = ROOT / name.rstrip(".")
        inside = (ROOT / path).parent / name
        assert place.exists() or place.with_suffix(".py").exists() or inside.exists(), f"{path}: {name}"


def test_a_module_begins_with_what_it_owns() -> None:
    """CONTRIBUTING.md, 'Language': its first line is a noun phrase, no question and no half of a sentence."""
    questions = {"From", "How", "Pure:", "What", "Where", "Whether", "Which", "Who", "Whose", "Why"}
    for folder in ("components", "server", "client", "tools", "scripts"):
        for path in files_of_the_tree(f"{folder}/*.py"):
            first = (ast.get_docstring(ast.parse(text(path))) or "-").split()[0]
            assert first not in questions, path


def test_the_settings_that_the_readme_shows_are_some(tmp_path: Path) -> None:
    """Whoever copies them into a stack's file gets what they say: each key is one that its section has."""
    (shown,) = re.findall(r"^```yaml\n(.*?)^```", text(Path("README.md")), re.DOTALL | re.MULTILINE)
    stack = tmp_path / "Pulumi.local.yaml"
    stack.write_text(shown)
    assert load(YamlSource.read(stack)).server.workers == 2


def test_every_document_is_reached_from_the_readme() -> None:
    """A page that nothing links to is read by nobody."""
    seen: set[Path] = set()
    waiting = [Path("README.md")]
    while waiting:
        path = waiting.pop()
        if path in seen:
            continue
        seen.add(path)
        for target in LINK.findall(text(path)):
            found = ((ROOT / path).parent / target.partition("#")[0]).resolve()
            if found.is_dir():
                found /= "README.md"
            if found.suffix == ".md" and found.exists() and found.is_relative_to(ROOT):
                waiting.append(found.relative_to(ROOT))
    lost = [path for path in DOCUMENTS if path.parts[0] == "docs" and path not in seen]
    assert not lost


DECISIONS = [path for path in DOCUMENTS if path.parent == Path("docs", "adr") and path.name != "README.md"]


def test_every_version_of_the_changelog_is_recorded() -> None:
    """Updates are tested from what each release left, and the newest one is the package's own version."""
    versions = re.findall(r"^## (\d+\.\d+\.\d+) \(\d{4}-\d\d-\d\d\)$", text(Path("CHANGELOG.md")), re.MULTILINE)
    assert versions[0] == tomllib.loads(text(Path("pyproject.toml")))["project"]["version"]
    for version in versions:
        kept = {path.name for path in (ROOT / "tests" / "fixtures" / version).iterdir()}
        assert kept == {"dev.tar.xz", "local.tar.xz"}


def test_decisions_are_numbered_without_gaps() -> None:
    """Two that were written at the same time take different numbers, and none is missing."""
    assert [int(path.name[:4]) for path in sorted(DECISIONS)] == list(range(1, len(DECISIONS) + 1))


@pytest.mark.parametrize("path", DECISIONS, ids=lambda path: path.name)
def test_decisions_have_one_form(path: Path) -> None:
    """Number and title, date and status, then Question, Decision, Consequences, and Alternatives if there were any."""
    found = re.match(r"# (\d+)\. \S.*\n\nDate: (\d{4}-\d\d-\d\d)\. Status: \S", text(path))
    assert found
    assert int(found[1]) == int(path.name[:4])
    assert dt.date.fromisoformat(found[2])
    parts = re.findall(r"^## (.*)$", text(path), re.MULTILINE)
    assert parts in (["Question", "Decision", "Consequences"], ["Question", "Decision", "Consequences", "Alternatives"])
    assert not re.search(r"^## .*\n+(?:## |\Z)", text(path), re.MULTILINE), "a part is empty"


def test_every_decision_that_is_named_exists() -> None:
    """Code and pages name decisions by file or by number; both change when one is renumbered."""
    names = {path.name for path in DECISIONS}
    for path in [*DOCUMENTS, *files_of_the_tree("*.py")]:
        for name, number in DECISION.findall(text(path)):
            assert not name or name in names | {"README.md"}, f"{path}: {name}"
            assert not number or 1 <= int(number) <= len(names), f"{path}: ADR {number}"


def test_the_made_pages_are_current() -> None:
    """An option that was added or changed is in the page of its command: `make pages` writes it."""
    made = [str(path) for path in DOCUMENTS if "[[[cog" in text(path)]
    command = (sys.executable, "-m", "cogapp", "--check", *made)
    checked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert {pages.page_of(module).relative_to(ROOT) for module in pages.modules()} < set(map(Path, made))


def test_no_made_page_is_left_over() -> None:
    """A command that is gone takes its page with it."""
    wanted = {pages.page_of(module) for module in pages.modules()} | {pages.COMMANDS / "README.md"}
    assert set(pages.COMMANDS.glob("*.md")) == wanted


def test_every_command_has_a_page_with_every_option() -> None:
    """The pages are walked by the real parsers: each option of each command stands in its page."""
    for module in pages.modules():
        shown = text(pages.page_of(module).relative_to(ROOT))
        for action in pages.parser_of(module)._actions:
            for option in action.option_strings:
                assert option in shown or option in {"-h", "--help"}, f"{module}: {option}"
