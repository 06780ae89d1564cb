"""The activated shell: everything Pulumi keeps is the project's own, and nothing of the user's is touched."""

from __future__ import annotations

import os
import stat
import subprocess
from typing import TYPE_CHECKING

import pytest

from tools.bootstrap import shell, stack
from tools.bootstrap.commands import run
from tools.bootstrap.layout import Layout, find_layout

if TYPE_CHECKING:
    from pathlib import Path

SALT = "v1:c2FsdA==:v1:bm9uY2U=:Y2lwaGVy=="


@pytest.fixture
def ready(tree: Layout) -> Layout:
    """A tree whose shell was set up."""
    shell.ensure(tree)
    return tree


def sourced(tree: Layout, **variables: str) -> dict[str, str]:
    """The environment of a POSIX shell after it sourced the file."""
    script = f'. "{tree.tools}/activate" && env -0'
    ended = subprocess.run(["/bin/sh", "-euc", script], env=variables, capture_output=True, timeout=30, check=True)
    return dict(entry.split("=", 1) for entry in ended.stdout.decode().rstrip("\0").split("\0"))


def test_pulumi_keeps_everything_in_the_project(ready: Layout) -> None:
    """State, passphrase and Pulumi's home are the project's: a login elsewhere is neither used nor changed."""
    environment = sourced(ready, PATH="/usr/bin:/bin", PULUMI_CONFIG_PASSPHRASE="the user's", HOME="/home/somebody")
    for name in ("PULUMI_HOME", "PULUMI_BACKEND_URL", "PULUMI_CONFIG_PASSPHRASE_FILE"):
        assert environment[name].removeprefix("file://").startswith(str(ready.root)), name
    assert "PULUMI_CONFIG_PASSPHRASE" not in environment
    assert environment["PATH"].split(":")[:2] == [str(ready.bin), str(ready.venv / "bin")]
    assert environment["PATH"].endswith(":/usr/bin:/bin")


@pytest.mark.engine
def test_the_users_own_pulumi_is_not_touched(tmp_path: Path) -> None:
    """Working on this project writes nothing below the user's home, where another login is kept."""
    ours = find_layout(dict(os.environ))
    environment = shell.environment(ours, {**os.environ, "HOME": str(tmp_path)})
    for command in (["version"], ["stack", "ls"], ["whoami"]):
        run([str(ours.bin / "pulumi"), *command], deadline_s=60, environment=environment, cwd=ours.root)
    assert list(tmp_path.iterdir()) == []


def test_the_set_up_uses_what_the_shell_would(ready: Layout) -> None:
    """Set-up runs pulumi in the same environment as a user who sourced the file."""
    base = {"PATH": "/usr/bin:/bin", "PULUMI_CONFIG_PASSPHRASE": "the user's"}
    shown = sourced(ready, **base)
    ours = shell.environment(ready, base)
    assert ours == {name: shown[name] for name in ours}


def test_the_passphrase_is_private_and_kept(ready: Layout) -> None:
    """Only its owner reads it, and it is never made anew: the secrets in the state would be lost."""
    phrase = shell.passphrase_file(ready)
    assert stat.S_IMODE(phrase.stat().st_mode) == 0o600
    before = phrase.read_text()
    assert len(before) > 40
    shell.ensure(ready)
    assert phrase.read_text() == before


def test_two_projects_have_two_passphrases(ready: Layout) -> None:
    """A passphrase that could be guessed from another project protects nothing."""
    before = shell.passphrase_file(ready).read_text()
    shell.passphrase_file(ready).unlink()
    shell.ensure(ready)
    assert shell.passphrase_file(ready).read_text() != before


def test_a_second_set_up_writes_nothing(ready: Layout) -> None:
    """An unchanged file is left as it is."""
    before = (ready.tools / "activate").stat().st_mtime_ns
    shell.ensure(ready)
    assert (ready.tools / "activate").stat().st_mtime_ns == before


def test_a_path_with_a_space_can_be_sourced(tree: Layout) -> None:
    """A clone in a folder with a space in its name works."""
    moved = tree.root.with_name("a tree")
    tree.root.rename(moved)
    spaced = type(tree)(root=moved, cache=tree.cache)
    shell.ensure(spaced)
    assert sourced(spaced, PATH="/usr/bin:/bin")["PULUMI_HOME"] == str(spaced.pulumi_home)


@pytest.mark.parametrize(
    ("in_state", "kept"),
    [(SALT, False), ("v1:b3RoZXI=:v1:bm9uY2U=:b3RoZXI=", True), (None, True)],
    ids=["the state's own", "another state's", "no salt in the state"],
)
def test_only_a_salt_that_the_state_holds_is_taken_out(ready: Layout, in_state: str | None, *, kept: bool) -> None:
    """The file is in git: this clone's salt must not get there, and a salt that is held nowhere else must not go."""
    provider = {} if in_state is None else {"state": {"salt": in_state}}
    state = stack.state_file(ready, "local")
    state.parent.mkdir(parents=True)
    stack.files.write_stamp(state, {"checkpoint": {"latest": {"secrets_providers": provider}}})
    settings = ready.root / "Pulumi.local.yaml"
    text = "# a comment\nconfig:\n  trial:a: b\n"
    settings.write_text(f"{text}encryptionsalt: {SALT}\n")
    stack.forget_salt(ready, "local")
    assert settings.read_text() == (f"{text}encryptionsalt: {SALT}\n" if kept else text)
