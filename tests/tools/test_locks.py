"""The locks: complete, tied to their content by hashes, and free of any host."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.tools.projects import ROOT
from tools.bootstrap import files, python_env

if TYPE_CHECKING:
    from pathlib import Path

    from tools.bootstrap.layout import Layout

LOCKS = sorted((ROOT / "requirements").glob("*.txt"))
PINNED = re.compile(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==(\S+)")


def pinned(path: Path) -> dict[str, str]:
    """The version of each package in a lock."""
    found = (PINNED.match(line) for line in path.read_text().splitlines())
    return {match[1]: match[2] for match in found if match}


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_a_lock_ties_every_package_to_its_content(path: Path) -> None:
    """A package without a hash could change under the same version."""
    packages = re.split(r"\n(?=\S)", path.read_text())
    for package in packages:
        if PINNED.match(package):
            assert "--hash=sha256:" in package, package.splitlines()[0]


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_a_lock_names_no_host(path: Path) -> None:
    """The same lock installs from whatever index a machine is set up for."""
    text = path.read_text()
    assert "://" not in text
    assert "--index" not in text
    assert "--find-links" not in text


def test_one_environment_serves_both_groups() -> None:
    """Dev holds all of runtime in the same versions: `make test` after `make up` changes nothing that runs."""
    runtime, dev = (pinned(ROOT / "requirements" / f"{group}.txt") for group in python_env.GROUPS)
    assert runtime.items() <= dev.items()


@pytest.mark.slow
def test_the_locks_are_what_pyproject_asks_for(tmp_path: Path) -> None:
    """A dependency that was changed in pyproject.toml and not locked would only fail on the next machine."""
    (tmp_path / "requirements").mkdir()
    for path in (ROOT / "pyproject.toml", *(ROOT / "requirements").iterdir()):
        (tmp_path / path.relative_to(ROOT)).write_text(path.read_text())
    uv = ROOT / ".venv" / "bin" / "uv"
    subprocess.run(
        ["make", "-f", ROOT / "Makefile", "lock", f"UV={uv}", "SETUP=true"], cwd=tmp_path, check=True, timeout=600
    )
    for path in LOCKS:
        assert (tmp_path / path.relative_to(ROOT)).read_text() == path.read_text(), path.name


def put(tree: Layout, group: str) -> None:
    """Make the tree look as if `group` had been installed."""
    (tree.venv / "bin").mkdir(parents=True, exist_ok=True)
    (tree.venv / "bin" / "python").touch()
    stamp = {"group": group, "lock": python_env.lock_digest(tree, group), "python": python_env.python_version()}
    files.write_stamp(python_env.stamp_file(tree), stamp)


@pytest.mark.parametrize(
    ("installed", "wanted", "enough"),
    [("dev", "dev", True), ("dev", "runtime", True), ("runtime", "runtime", True), ("runtime", "dev", False)],
)
def test_what_is_installed_is_not_installed_again(tree: Layout, installed: str, wanted: str, *, enough: bool) -> None:
    """A developer who runs `make up` between tests keeps the test tools."""
    put(tree, installed)
    assert python_env.satisfied(tree, wanted) is enough


def test_a_changed_lock_is_installed(tree: Layout) -> None:
    """What was installed from another lock does not count."""
    put(tree, "dev")
    with (tree.requirements / "dev.txt").open("a") as changed:
        changed.write("\n")
    assert not python_env.satisfied(tree, "dev")


def test_an_environment_without_its_interpreter_is_made_again(tree: Layout) -> None:
    """The system's Python goes away with an upgrade and leaves a dangling link behind."""
    put(tree, "dev")
    (tree.venv / "bin" / "python").unlink()
    (tree.venv / "bin" / "python").symlink_to("/nowhere/python")
    assert not python_env.satisfied(tree, "dev")


def test_nothing_installed_is_not_enough(tree: Layout) -> None:
    """A fresh clone has no environment."""
    assert not python_env.satisfied(tree, "runtime")


def test_the_uv_that_is_pinned_is_linked(tree: Layout) -> None:
    """`.tools/uv` follows the pin, and is put back when the cache was deleted."""
    folder = tree.cache / "uv" / files.digest((tree.requirements / "uv.txt").read_bytes())
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "uv").touch()
    tree.tools.mkdir()
    assert not python_env.uv_linked(tree)
    python_env.link_uv(tree, {})
    assert python_env.uv_linked(tree)
    with (tree.requirements / "uv.txt").open("a") as pin:
        pin.write("\n")
    assert not python_env.uv_linked(tree)
