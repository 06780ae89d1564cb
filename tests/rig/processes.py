"""Containers as processes: each in namespaces of its own, with its own /tmp, and gone with whoever started it.

Shared by every platform of the rig. A container is a command of this machine's programs, so no image is unpacked; what
an image would hold besides (its certificate bundle, its packages) is bound into place. Services such as Postgres run
the same way, in the machine's own root.
"""

from __future__ import annotations

import contextlib
import itertools
import json
import shutil
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_INIT: Final = Path(__file__).with_name("init.py")
# The machine's own interpreter: a virtual environment may lie where the container cannot see it.
_PYTHON: Final = getattr(sys, "_base_executable", sys.executable)
_END_S: Final = 20


def missing() -> str | None:
    """Say why containers cannot run on this machine; None if they can."""
    if shutil.which("unshare") is None:
        return "there is no unshare (util-linux)"
    probe = ["unshare", "--ipc", "--mount", "--pid", "--fork", "mount", "-t", "proc", "proc", "/proc"]
    done = subprocess.run(probe, capture_output=True, text=True, timeout=30, check=False)
    return None if done.returncode == 0 else f"namespaces need root: {done.stderr.strip()}"


@dataclass(frozen=True, kw_only=True)
class Spec:
    """What a container is.

    `root` is an empty folder where its root is put together, None for the machine's own. `binds` are read only and
    `volumes` are not, each source -> place in the container.
    """

    argv: Sequence[str]
    environment: Mapping[str, str]
    root: Path | None = None
    binds: Mapping[Path, str] = field(default_factory=dict)
    volumes: Mapping[Path, str] = field(default_factory=dict)
    read_only: bool = False
    cwd: str = ""

    def document(self) -> dict[str, Any]:
        """Return it as init.py reads it."""
        return {
            "argv": list(self.argv),
            "environment": dict(self.environment),
            "root": str(self.root) if self.root else "",
            "binds": [[str(source), place] for source, place in self.binds.items()],
            "volumes": [[str(source), place] for source, place in self.volumes.items()],
            "readOnly": self.read_only,
            "cwd": self.cwd,
        }


class Container:
    """A container that runs, or has ended. `said` is called with each line that it prints."""

    def __init__(self, spec: Spec, *, said: Callable[[str], None]) -> None:
        """Start it."""
        self._said, self._numbers = said, itertools.count(1)
        self._answers: dict[int, tuple[threading.Event, list[int]]] = {}
        self._process = subprocess.Popen(
            # Their own IPC namespace too: Postgres keeps a segment of System V memory, which outlives a kill otherwise.
            ["unshare", "--ipc", "--mount", "--pid", "--fork", "--kill-child", _PYTHON, "-IS", str(_INIT)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={"PATH": "/usr/bin:/bin"},
            start_new_session=True,
        )
        self._order(spec.document())
        self._threads = [
            threading.Thread(target=self._listen, daemon=True),
            threading.Thread(target=self._read, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    @property
    def pid(self) -> int:
        """The process outside whose end is the container's."""
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """The command's exit code; None while it runs."""
        return self._process.poll()

    def run(self, argv: Sequence[str], *, timeout_s: float) -> int | None:
        """Run a command inside and return its exit code; None if it took too long or the container ended."""
        code: list[int] = []
        number, event = next(self._numbers), threading.Event()
        self._answers[number] = (event, code)
        if not self._order({"run": number, "argv": list(argv), "timeout": timeout_s}):
            return None
        while not event.wait(0.1):
            if self.exit_code is not None:
                return None
        return code[0] if code[0] >= 0 else None

    def terminate(self) -> None:
        """Ask the command to end."""
        self._order({"term": True})

    def kill(self) -> None:
        """End it with all that it started, at once."""
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.close()
        self.wait(_END_S)

    def wait(self, timeout_s: float) -> bool:
        """Wait for its end and for its last words; False if it runs on."""
        try:
            self._process.wait(timeout_s)
        except subprocess.TimeoutExpired:
            return False
        for thread in self._threads:
            thread.join(_END_S)
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            assert stream is not None
            with contextlib.suppress(BrokenPipeError):
                stream.close()
        return True

    def _order(self, document: Mapping[str, Any]) -> bool:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(document).encode() + b"\n")
            self._process.stdin.flush()
        except (BrokenPipeError, ValueError):
            return False
        return True

    def _listen(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            answer = json.loads(line)
            event, code = self._answers.pop(answer["ran"])
            code.append(answer["code"])
            event.set()

    def _read(self) -> None:
        assert self._process.stderr is not None
        for line in self._process.stderr:
            self._said(line.decode(errors="replace").rstrip("\n"))
