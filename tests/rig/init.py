"""The first process of a container: sets up what the container sees, runs its command, and ends with it.

Run by `processes.Container` in namespaces of its own, so that its end is the end of everything that it started. It
reads orders on standard input, one JSON document a line; the end of that input means that whoever started it is gone.

    {"argv": [...], ...}             the first line: what to run (processes.Spec)
    {"term": true}                   SIGTERM to the command, as a platform stops a container
    {"run": 7, "argv": [...], "timeout": 5}     a health command; answered on standard output by {"ran": 7, "code": 0}

The command's output is standard error. Needs nothing but the standard library.
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import json
import os
import select
import signal
import sys
import time
from pathlib import Path
from typing import Any

MS_BIND, MS_REC, MS_PRIVATE, MS_READ_ONLY, MS_REMOUNT = 4096, 16384, 1 << 18, 1, 32
_libc = ctypes.CDLL(None, use_errno=True)
_LEFT_OUT = {"tmp", "opt", "var"}


def mount(source: str, target: str, kind: str = "", flags: int = 0) -> None:
    """Mount, or raise OSError."""
    if _libc.mount(source.encode(), target.encode(), kind.encode() or None, flags, None) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount {source} on {target}: {os.strerror(number)}")


def enter_root(spec: dict[str, Any]) -> None:
    """Make and enter a root that shows the machine's programs, and of /tmp, /opt and /var only what the image has."""
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    if not spec["root"]:
        mount("proc", "/proc", "proc")
        return
    root = spec["root"]
    mount("rig", root, "tmpfs")
    for each in sorted(Path("/").iterdir()):
        name, source, target = each.name, str(each), root + str(each)
        if name in _LEFT_OUT:
            continue
        if each.is_symlink():
            Path(target).symlink_to(each.readlink())
        elif each.is_dir():
            Path(target).mkdir()
            mount(source, target, flags=MS_BIND | MS_REC)
            if spec["readOnly"] and name not in {"dev", "proc", "sys"}:
                mount("none", target, flags=MS_BIND | MS_REMOUNT | MS_READ_ONLY)
    for source, target in spec["binds"]:
        _bind(source, root + target, read_only=True)
    for source, target in spec["volumes"]:
        _bind(source, root + target, read_only=False)
    Path(root, "tmp").mkdir(0o1777, exist_ok=True)
    mount("proc", f"{root}/proc", "proc")
    if spec["readOnly"]:
        mount("none", root, flags=MS_REMOUNT | MS_READ_ONLY)
    os.chroot(root)
    os.chdir("/")


def _bind(source: str, target: str, *, read_only: bool) -> None:
    place = Path(target)
    if Path(source).is_dir():
        place.mkdir(parents=True, exist_ok=True)
    else:
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists():
            place.touch()
    mount(source, target, flags=MS_BIND | MS_REC)
    if read_only:
        mount("none", target, flags=MS_BIND | MS_REMOUNT | MS_READ_ONLY)


def start(argv: list[str], environment: dict[str, str], *, quiet: bool = False) -> int:
    """Start a program, and return its process id. Its output is the container's, or nobody's."""
    child = os.fork()
    if child:
        return child
    try:
        null = os.open(os.devnull, os.O_RDWR)
        os.dup2(null, 0)
        if quiet:
            os.dup2(null, 2)
        os.dup2(2, 1)
        os.setsid()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, signal.SIGPIPE):
            signal.signal(number, signal.SIG_DFL)
        os.execvpe(argv[0], argv, environment)  # noqa: S606
    except OSError as error:
        os.write(2, f"exec {argv[0]}: {str(error.strerror).lower()}\n".encode())
    # As Docker answers where a command cannot be executed, or is not found.
    os._exit(127)


class Health:
    """Health commands under way."""

    def __init__(self, environment: dict[str, str]) -> None:
        self._environment = environment
        self._running: dict[int, tuple[int, float]] = {}

    def order(self, number: int, argv: list[str], timeout: float) -> None:
        """Start one."""
        self._running[start(argv, self._environment, quiet=True)] = (number, time.monotonic() + timeout)

    def ended(self, child: int, code: int) -> None:
        """Answer for one that ended."""
        if child in self._running:
            _answer(self._running.pop(child)[0], code)

    def expire(self) -> None:
        """End those that took too long."""
        for child, (number, until) in list(self._running.items()):
            if time.monotonic() > until:
                del self._running[child]
                with contextlib.suppress(ProcessLookupError):
                    os.killpg(child, signal.SIGKILL)
                _answer(number, -1)


def _answer(number: int, code: int) -> None:
    os.write(1, json.dumps({"ran": number, "code": code}).encode() + b"\n")


def reap(health: Health, command: int) -> int | None:
    """Collect whatever has ended; return the command's exit code once that has."""
    with contextlib.suppress(ChildProcessError):
        while True:
            child, status = os.waitpid(-1, os.WNOHANG)
            if not child:
                return None
            code = os.waitstatus_to_exitcode(status)
            code = 128 - code if code < 0 else code
            if child == command:
                return code
            health.ended(child, code)
    return None


def main() -> None:
    """Run the container until its command ends or nobody wants it any more."""
    orders = io.FileIO(0, closefd=False)
    pending = b""
    while b"\n" not in pending:
        pending += orders.read(65536) or sys.exit(1)
    first, _, pending = pending.partition(b"\n")
    spec = json.loads(first)
    enter_root(spec)
    if spec["cwd"]:
        os.chdir(spec["cwd"])
    wake, signalled = os.pipe()
    os.set_blocking(signalled, False)
    signal.set_wakeup_fd(signalled, warn_on_full_buffer=False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    command, health = start(spec["argv"], spec["environment"]), Health(spec["environment"])
    while True:
        ready, _, _ = select.select([orders.fileno(), wake], [], [], 0.2)
        if wake in ready:
            os.read(wake, 4096)
        if orders.fileno() in ready:
            got = orders.read(65536)
            if not got:
                os._exit(137)
            pending += got
        *lines, pending = pending.split(b"\n")
        for order in map(json.loads, lines):
            if "term" in order:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(command, signal.SIGTERM)
            else:
                health.order(order["run"], order["argv"], order["timeout"])
        health.expire()
        code = reap(health, command)
        if code is not None:
            os._exit(code)


if __name__ == "__main__":
    main()
