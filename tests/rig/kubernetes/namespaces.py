"""The cluster's own namespaces (processes, mounts, network, IPC), and programs that run in them.

One process holds them: when it ends, the kernel ends every process in them, and with the last of these go all mounts,
links, addresses and rules. It ends with whoever started it, because its orders end then (tests/rig/init.py).
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import subprocess
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

import psutil

from tests.rig.init import MS_BIND, MS_PRIVATE, MS_REC, mount
from tests.rig.processes import Container, Spec
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_libc: Final = ctypes.CDLL(None, use_errno=True)
_CLONE_NEWNS, _CLONE_NEWNET = 0x20000, 0x40000000
_DEADLINE_S: Final = 30
_END_S: Final = 120
# What the programs write below fixed paths is memory of these namespaces, and gone with them.
_OWN: Final = ("/run", "/var/lib/cni", "/var/lib/kubelet", "/var/log")


class Namespaces:
    """Open from the beginning; `close` ends what runs in them."""

    def __init__(self) -> None:
        """Make them."""
        lines = [f"mkdir -p {each} && mount -t tmpfs rig {each}" for each in _OWN]
        lines += ["ip link set lo up", "sysctl -qw net.ipv4.ip_forward=1", "exec sleep infinity"]
        self.said: list[str] = []
        argv = ("unshare", "--net", "sh", "-euc", "\n".join(lines))
        environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
        self._container = Container(Spec(argv=argv, environment=environment), said=self.said.append)
        self.holder = until(self._find_holder, what=f"namespaces: {self.said}", deadline_s=_DEADLINE_S)

    def _find_holder(self) -> int:
        """Return the process that has them all."""
        assert self._container.exit_code is None, self.said
        below = psutil.Process(self._container.pid).children(recursive=True)
        return next((each.pid for each in below if each.name() == "sleep"), 0)

    def command(self, *argv: str | Path) -> list[str]:
        """Return the command that runs a program in all of them."""
        way = ("nsenter", f"--target={self.holder}", "--mount", "--net", "--ipc", "--pid", "--")
        return [*way, *map(str, argv)]

    def run(self, *argv: str | Path, given: str | None = None, deadline_s: float = _DEADLINE_S) -> str:
        """Run a command in all of them and return its output; a failure shows what it said."""
        done = subprocess.run(
            self.command(*argv),
            input=given,
            stdin=subprocess.DEVNULL if given is None else None,
            capture_output=True,
            text=True,
            timeout=deadline_s,
            check=False,
        )
        if done.returncode != 0:
            raise RuntimeError(f"{' '.join(map(str, argv))}: {done.returncode}: {done.stderr.strip()[-2000:]}")
        return done.stdout

    @contextlib.contextmanager
    def entered(self, files: Mapping[str, Path]) -> Iterator[None]:
        """Put this thread into the network, with files shown in the place of others; what it starts is there too."""
        folder = Path.cwd()
        with contextlib.ExitStack() as kept:
            own = Path(f"/proc/self/task/{threading.get_native_id()}/ns")
            network, mounts, theirs = (
                kept.enter_context(each.open("rb"))
                for each in (own / "net", own / "mnt", Path(f"/proc/{self.holder}/ns/net"))
            )
            # Mounts of its own, not the cluster's: those have another /proc.
            _call(_libc.unshare, _CLONE_NEWNS)
            try:
                mount("none", "/", flags=MS_REC | MS_PRIVATE)
                for target, source in files.items():
                    mount(str(source), str(Path(target).resolve()), flags=MS_BIND)
                _call(_libc.setns, theirs.fileno(), _CLONE_NEWNET)
                yield
            finally:
                _call(_libc.setns, network.fileno(), _CLONE_NEWNET)
                # A thread that this one started shares its mounts, and one that was joined may end a moment later.
                until(
                    lambda: _libc.setns(mounts.fileno(), _CLONE_NEWNS) == 0,
                    what="the end of the threads that were started within",
                    deadline_s=_DEADLINE_S,
                )
                os.chdir(folder)

    def close(self) -> None:
        """End everything in them, and wait for it: the kernel writes what containers wrote to the disk first."""
        self._container.kill()
        if not self._container.wait(_END_S):
            raise RuntimeError(f"the namespaces of process {self.holder} have not ended within {_END_S} s")


def _call(function: ctypes._NamedFuncPointer, *arguments: int) -> None:
    if function(*arguments) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


class Program:
    """A program in the namespaces, its output in a file."""

    def __init__(self, namespaces: Namespaces, log: Path, argv: Sequence[str | Path]) -> None:
        """Know it."""
        self._namespaces, self._log, self._argv = namespaces, log, argv
        self._entering: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self._log.open("ab") as log:
            self._entering = subprocess.Popen(
                self._namespaces.command(*self._argv),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/run"},
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._entering is not None and self._entering.poll() is None

    def stop(self) -> None:
        """Kill it at once and wait for its end; what it started stays."""
        assert self._entering is not None
        # nsenter stays outside and waits for its child, which is the program.
        for child in psutil.Process(self._entering.pid).children():
            child.kill()
        self._entering.wait(_DEADLINE_S)

    def wait(self) -> None:
        """Wait for its end, after the namespaces are closed."""
        if self._entering is not None:
            self._entering.wait(_DEADLINE_S)
