"""A stack in the project's own file backend: made at first use, its passphrase's salt kept out of git.

Pulumi writes the salt into `Pulumi.<stack>.yaml`. That file is in git and the same for everybody, while the salt
belongs to this clone's passphrase: committed, it would lock everybody else out. The state holds it too, and
`shell.variables` make Pulumi read it there, so the line is taken out again. A salt that the state does not hold stays:
that stack is elsewhere, with a passphrase of its own.

`python -m tools.bootstrap.stack STACK` takes the line out after an update.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tools.bootstrap import files, shell
from tools.bootstrap.commands import CommandError, run
from tools.bootstrap.layout import find_layout
from tools.bootstrap.steps import StepFailedError, say

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tools.bootstrap.layout import Layout

SALT = re.compile(r"^encryptionsalt:[ \t]*(\S+)[ \t]*\n?", re.MULTILINE)
META = re.compile(rb"\s*version:[ \t]*\d+\s*")
PROJECT_NAME = re.compile(r"^name:[ \t]*([\w.-]+)", re.MULTILINE)
STEP = "stack"
ENDED = ("Z", "X")
"""States in which a process has ended and is only still listed (proc(5), ps(1))."""


def ensure(layout: Layout, stack: str, environment: Mapping[str, str]) -> None:
    """Make the stack, empty, when the file backend does not know it.

    Raises:
        StepFailedError: Pulumi does not make it.
    """
    forget_damaged_notes(layout, stack)
    if state_file(layout, stack).exists():
        free(layout, stack)
        if _state(layout, stack) is None:
            say(STEP, f"{state_file(layout, stack)} is no state that can be read. {_way_back(layout, stack)}")
        forget_salt(layout, stack)
        return
    if not (layout.root / f"Pulumi.{stack}.yaml").exists():
        known = sorted(path.name.split(".")[1] for path in layout.root.glob("Pulumi.*.yaml"))
        raise StepFailedError(
            what=f"making the stack {stack}",
            why=f"there is no Pulumi.{stack}.yaml, which holds its settings",
            fix=f"name one of {', '.join(known)}, or write that file first" if known else "write that file first",
        )
    say(STEP, f"making the stack {stack} in {layout.state.name}")
    # Made from a copy of the project, so that the salt is written there.
    with tempfile.TemporaryDirectory(prefix="mlflow-backend-stack-") as scratch:
        shutil.copy(layout.root / "Pulumi.yaml", scratch)
        init = (str(layout.bin / "pulumi"), "stack", "init", stack, "--no-select", "--non-interactive")
        try:
            run(init, deadline_s=60, environment=shell.environment(layout, environment), cwd=Path(scratch))
        except CommandError as error:
            raise StepFailedError(
                what=f"making the stack {stack}",
                why=str(error),
                fix=f"look at what {layout.state.relative_to(layout.root)} holds; what is not deployed can be deleted",
            ) from error


def state_file(layout: Layout, stack: str) -> Path:
    """Where Pulumi's file backend keeps the stack's state."""
    match = PROJECT_NAME.search((layout.root / "Pulumi.yaml").read_text())
    project = match[1] if match else ""
    return layout.state / ".pulumi" / "stacks" / project / f"{stack}.json"


def forget_damaged_notes(layout: Layout, stack: str) -> None:
    """Take away what Pulumi notes beside its files, if it is damaged: Pulumi would end on it, and name no way out.

    The notes are the format of the folder, and type and checksum of each file; Pulumi writes both anew.
    """
    folder = layout.state / ".pulumi"
    notes = [folder / "meta.yaml"]
    for part in (folder, state_file(layout, stack).parent, _locks(layout, stack)):
        notes += sorted(part.glob("*.attrs"))
    for note in notes:
        try:
            if not note.exists() or _is_note(note.read_bytes()):
                continue
        except OSError as error:
            raise StepFailedError(
                what=f"reading {note}", why=error.strerror or str(error), fix="move it away: Pulumi writes it anew"
            ) from None
        note.unlink()
        say(STEP, f"{note} was damaged and is taken away; Pulumi writes it anew")


def _is_note(content: bytes) -> bool:
    """Return whether the content is that of a note: a version as YAML, or attributes as JSON."""
    if META.fullmatch(content):
        return True
    try:
        return isinstance(json.loads(content), dict)
    except ValueError:
        return False


def _locks(layout: Layout, stack: str) -> Path:
    """Where Pulumi keeps the locks of updates of the stack."""
    return layout.state / ".pulumi" / "locks" / "organization" / state_file(layout, stack).parent.name / stack


def free(layout: Layout, stack: str) -> None:
    """Take away the locks of updates that were killed on this machine: Pulumi keeps them for ever.

    A lock of another machine stays: nobody here can know whether its process lives.
    """
    for lock in sorted(_locks(layout, stack).glob("*.json")):
        try:
            owner = json.loads(lock.read_text())
            pid, machine = int(owner["pid"]), owner["hostname"]
        except (OSError, ValueError, KeyError, TypeError):
            # Whose it is, and whether that one lives, cannot be known; Pulumi refuses it without naming the file.
            say(STEP, f"{lock} is no lock that can be read: delete it if no other update of {stack} runs")
            continue
        if machine == socket.gethostname() and not _runs_pulumi(pid):
            lock.unlink(missing_ok=True)
            say(STEP, f"an update of {stack} was killed (process {pid}); its lock is taken away")


def _runs_pulumi(pid: int) -> bool:
    """Return whether the process runs and, if the system shows names, is Pulumi: numbers are used again.

    One that has ended stays in the table until its parent collects it, which a container's first process may never do.
    It still has its name and takes signals, but holds nothing any more.
    """
    if Path("/proc/self").exists():
        try:
            entry = Path("/proc", str(pid), "stat").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            return False
        # `PID (NAME) STATE ...`: the name may hold anything, brackets too.
        head, _, tail = entry.rpartition(")")
        return head.partition("(")[2] == "pulumi" and not tail.split()[0].startswith(ENDED)
    try:
        return not run(("ps", "-o", "stat=", "-p", str(pid)), deadline_s=20, environment=os.environ).startswith(ENDED)
    except CommandError:
        return False


def forget_salt(layout: Layout, stack: str) -> None:
    """Take the salt out of the stack's file when it is the one that the state holds."""
    settings = layout.root / f"Pulumi.{stack}.yaml"
    if not settings.exists():
        return
    text = settings.read_text(encoding="utf-8")
    written = SALT.search(text)
    if written and written[1] == _salt_in_state(_state(layout, stack) or {}):
        files.write_whole(settings, SALT.sub("", text))


def _state(layout: Layout, stack: str) -> Mapping[str, object] | None:
    """Return the stack's state, None if it cannot be read as one."""
    try:
        state = json.loads(state_file(layout, stack).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return state if isinstance(state, dict) and "checkpoint" in state else None


def _way_back(layout: Layout, stack: str) -> str:
    """Say what to do about a state that cannot be read: Pulumi keeps a copy of each that it replaced."""
    kept = layout.state / ".pulumi" / "backups" / state_file(layout, stack).parent.name / stack
    copies = sorted(path for path in kept.glob(f"{stack}.*.json") if path.is_file())
    anew = "move it away: `make up` then adopts what runs, and keeps its data"
    return (
        f"Put its newest copy in its place ({copies[-1]}), or {anew}" if copies else f"There is no copy of it; {anew}"
    )


def _salt_in_state(state: Mapping[str, object]) -> str | None:
    """The salt under checkpoint.latest.secrets_providers.state; None if secrets are kept in another way."""
    found: object = state
    for key in ("checkpoint", "latest", "secrets_providers", "state", "salt"):
        found = found.get(key) if isinstance(found, dict) else None
    return found if isinstance(found, str) else None


if __name__ == "__main__":
    forget_salt(find_layout(dict(os.environ)), sys.argv[1])
