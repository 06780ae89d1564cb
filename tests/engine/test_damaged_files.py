"""Every file that a stack keeps, damaged in every way: each command names the file and the way out, or fixes it."""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.commands import logs, releases, rollback, status, verify
from tests.matrices import rows

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.engine.project import Outcome
    from tests.engine.stack import LocalStack

# What others keep there in formats of their own; credentials are tried by tests of their own. A server maps its
# temporary files of metrics into memory: one that is cut short ends it by SIGBUS, and the next row finds it restarting.
OTHERS = frozenset({"database", "store", "credentials", "appendonlydir", "dumps", "temporary"})
MOST_TRIES = 12
# What a command says that does not read the damaged file itself, but sees what it leads to.
WAYS = ("make up", "make verify", "next:", "No release")


def _folder(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _unreadable(path: Path) -> None:
    path.chmod(0)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "truncated": lambda path: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "garbage": lambda path: path.write_bytes(bytes(range(128, 256)) * 2),
    "empty": lambda path: path.write_bytes(b""),
    "a list": lambda path: path.write_bytes(b'[{"a": 1}]'),
    "an object": lambda path: path.write_bytes(b'{"a": "b"}'),
    "null": lambda path: path.write_bytes(b"null"),
    "missing": lambda path: path.unlink(),
    "a folder": _folder,
    # Root reads everything.
    **({} if os.geteuid() == 0 else {"unreadable": _unreadable}),
}
COMMANDS: dict[str, Callable[[], object]] = {
    "status": lambda: status.main(["--stack", "local"]),
    "verify": lambda: verify.main(["--stack", "local", "--only", "health"]),
    "releases": lambda: releases.main(["--stack", "local"]),
    "rollback": lambda: rollback.main(["--stack", "local", "--dry-run"]),
    "logs": lambda: logs.main(["--stack", "local"]),
}


def files(folder: Path) -> list[Path]:
    """Return a file of each kind that the stack keeps: names that differ by a number are one kind."""
    found = {}
    for path in sorted(folder.rglob("*"), reverse=True):
        parts = path.relative_to(folder).parts
        if path.is_file() and not OTHERS & set(parts):
            found[re.sub(r"\d+", "0", "/".join(parts))] = path
    return sorted(found.values())


@contextlib.contextmanager
def damaged(path: Path, how: str) -> Iterator[None]:
    """Damage a file for a while."""
    content, was = path.read_bytes(), path.stat()
    DAMAGES[how](path)
    try:
        yield
    finally:
        if path.is_dir():
            path.rmdir()
        path.unlink(missing_ok=True)
        path.write_bytes(content)
        path.chmod(was.st_mode)
        os.chown(path, was.st_uid, was.st_gid)


@pytest.fixture
def commands(deployed: LocalStack, monkeypatch: pytest.MonkeyPatch) -> LocalStack:
    """Make the commands work on the stack under test."""
    shutil.copy(deployed.project / "Pulumi.yaml", deployed.folder)
    monkeypatch.chdir(deployed.project)
    return deployed


@pytest.mark.parametrize("how", rows(DAMAGES, shown=("garbage", "missing", "a folder")))
def test_no_command_ends_with_a_traceback(commands: LocalStack, capsys: pytest.CaptureFixture[str], how: str) -> None:
    """What is red names the file that is damaged, or what fixes it; nothing is raised past a command."""
    found = files(commands.state.path)
    assert len(found) > 15, "a stack that was deployed keeps more than that"
    wrong = []
    for path in found:
        with damaged(path, how):
            for name, command in COMMANDS.items():
                case = f"{path.relative_to(commands.state.path)}, {how}: {name}"
                try:
                    code = command()
                except Exception as error:  # noqa: BLE001 - all cases are told at once
                    wrong.append(f"{case} raised {error!r}")
                    continue
                printed = capsys.readouterr()
                said = printed.out + printed.err
                helps = any(word in said for word in (path.name, *WAYS))
                if "Traceback" in said or (code != 0 and not helps):
                    wrong.append(f"{case} ended with {code} and said {said[-300:]}")
    assert not wrong, "\n".join(wrong)


def damage_all(stack: LocalStack) -> list[Path]:
    """Write garbage over all that the stack keeps, and return it."""
    records = stack.state.backend_store / "_backend"
    # The ledger has a way out of its own (tests/engine/releases); what is running is logged to.
    paths = [
        path
        for path in files(stack.state.path)
        if not path.is_relative_to(records) and path.suffix not in {".log", ".pid"}
    ]
    for path in paths:
        DAMAGES["garbage"](path)
    return paths


def until_green(command: Callable[[], Outcome], paths: list[Path]) -> None:
    """Repeat a command, and move away each of these files that it names, as it says."""
    for _ in range(MOST_TRIES):
        outcome = command()
        assert "Traceback" not in outcome.text, outcome.text
        if outcome.ok:
            return
        named = [path for path in paths if str(path) in outcome.text]
        assert named, outcome.text
        for path in named:
            # A revision's folder goes as a whole.
            gone = path.parent if path.name == "revision.json" else path
            shutil.rmtree(gone) if gone.is_dir() else gone.unlink(missing_ok=True)
    pytest.fail(f"not green after {MOST_TRIES} tries:\n{outcome.text}")


def test_an_update_mends_what_it_can_and_names_the_rest(deployed: LocalStack) -> None:
    """All files are damaged at once. What a red update names is moved away, as it says, until one is green."""
    paths = damage_all(deployed)
    until_green(lambda: deployed.up("--skip-preview", "--refresh"), paths)


def test_a_stack_is_destroyed_whatever_is_damaged(deployed: LocalStack) -> None:
    """No process is left, and what is refused is named: a stack that cannot be ended is worse than a lost file."""
    paths = damage_all(deployed)
    until_green(deployed.destroy, paths)
    assert deployed.processes() == []
