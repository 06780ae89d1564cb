"""The activated shell: everything Pulumi keeps is the project's own, and nothing of the user's is touched."""

from __future__ import annotations

import json
import os
import shutil
import socket
import stat
import subprocess
from pathlib import Path

import pytest

from tools.bootstrap import shell, stack
from tools.bootstrap.commands import run
from tools.bootstrap.layout import Layout, find_layout

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


@pytest.mark.parametrize("base", [{}, {"no_proxy": "intranet.example", "NO_PROXY": "*.example"}])
def test_loopback_is_called_without_a_proxy(ready: Layout, base: dict[str, str]) -> None:
    """Behind a company's proxy the program could not reach the engine beside it; the user's own exceptions stay."""
    shown = sourced(ready, PATH="/usr/bin:/bin", **base)
    for name in ("no_proxy", "NO_PROXY"):
        assert shown[name].split(",") == ["127.0.0.1", "localhost", *filter(None, [base.get(name)])]
        assert shell.environment(ready, base)[name] == shown[name]


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


def _lock(tree: Layout, name: str, content: object) -> Path:
    """Lock the stack `local` as Pulumi's file backend does."""
    state = stack.state_file(tree, "local")
    lock = tree.state / ".pulumi" / "locks" / "organization" / state.parent.name / "local" / f"{name}.json"
    for path in (state, lock):
        path.parent.mkdir(parents=True, exist_ok=True)
    state.write_text("{}")
    lock.write_text(json.dumps(content))
    return lock


def test_the_lock_of_a_killed_update_is_taken_away(ready: Layout, capfd: pytest.CaptureFixture[str]) -> None:
    """After a power cut `make up` works, without a word about a process that nobody can find."""
    with subprocess.Popen(["/bin/true"]) as ended:
        ended.wait(timeout=30)
    here = socket.gethostname()
    killed = _lock(ready, "killed", {"pid": ended.pid, "hostname": here})
    used_again = _lock(ready, "used-again", {"pid": os.getpid(), "hostname": here})
    stack.ensure(ready, "local", {})
    assert not killed.exists()
    assert used_again.exists() != Path("/proc/self/comm").exists(), "this process is not Pulumi"
    assert f"process {ended.pid}" in capfd.readouterr().err


def test_an_update_that_nobody_has_collected_counts_as_ended(ready: Layout, tmp_path: Path) -> None:
    """It keeps its name and answers signals until then: `make up` at once was refused 11 of 13 times."""
    pulumi = tmp_path / "pulumi"
    shutil.copy(shutil.which("true") or "", pulumi)
    ended = subprocess.Popen([str(pulumi)])
    try:
        # Waits for its end without collecting it.
        os.waitid(os.P_PID, ended.pid, os.WEXITED | os.WNOWAIT)
        os.kill(ended.pid, 0)
        lock = _lock(ready, "killed", {"pid": ended.pid, "hostname": socket.gethostname()})
        stack.ensure(ready, "local", {})
    finally:
        ended.wait(timeout=30)
    assert not lock.exists()


def test_the_lock_of_an_update_that_runs_stays(ready: Layout, tmp_path: Path) -> None:
    """Also one of another machine, and one that cannot be read: Pulumi checks those."""
    pulumi = tmp_path / "pulumi"
    shutil.copy(shutil.which("sleep") or "", pulumi)
    with subprocess.Popen([str(pulumi), "600"]) as running:
        try:
            kept = [
                _lock(ready, "runs", {"pid": running.pid, "hostname": socket.gethostname()}),
                _lock(ready, "elsewhere", {"pid": 1 << 30, "hostname": "another.example"}),
                _lock(ready, "damaged", "nothing"),
            ]
            stack.ensure(ready, "local", {})
        finally:
            running.kill()
    assert all(lock.exists() for lock in kept)
