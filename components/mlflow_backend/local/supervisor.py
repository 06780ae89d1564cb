"""supervisord of one local stack: start it, give it programs, ask it about them.

Owns the daemon and the files it reads. Does not know what the programs are.
"""

from __future__ import annotations

import configparser
import contextlib
import getpass
import http.client
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import xmlrpc.client
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.local import credentials, ports, processes, render
from mlflow_backend.local.state import StateDir, read_object, write
from mlflow_backend.pace import wait_until

if TYPE_CHECKING:
    from collections.abc import Callable

# A folder that nobody else can put modules into: Python looks for them in the one that it works in.
_WORKING_FOLDER = Path("/")
_RPC_TIMEOUT_S = 30.0
_START_TIMEOUT_S = 20.0
_POLL_S = 0.05
_TAIL_LINES = 15
_TAIL_BYTES = 20_000
_LINE_BYTES = 1_000
_LEFTOVER_GRACE_S = 10.0
_STOP_MARGIN_S = 30.0
_STORES = ("database", "cache", "store")
# States of supervisord in which a program has ended and will not come back by itself.
GAVE_UP = frozenset({"FATAL", "EXITED", "STOPPED", "UNKNOWN"})
_NO_PASSWORD = frozenset({"credential-missing", "credential-unreadable"})
RUNS = frozenset({"RUNNING", "STARTING"})
_RPC_ERRORS = (OSError, xmlrpc.client.Error, http.client.HTTPException)
# What the daemon and all programs inherit: nothing of the user's cloud or Pulumi credentials.
_INHERITED = ("PATH", "HOME", "USER", "LOGNAME", "LANG", "LC_ALL", "TMPDIR", "TZ", "SSL_CERT_FILE")


_Answer = TypeVar("_Answer")


@dataclass(frozen=True)
class Status:
    """What supervisord says of a program: its state in supervisord's own words, and its process id (0: none)."""

    state: str
    pid: int


class _Transport(xmlrpc.client.Transport):
    def make_connection(self, host: Any) -> http.client.HTTPConnection:
        connection = super().make_connection(host)
        connection.timeout = _RPC_TIMEOUT_S
        return connection


class Supervisor:
    """The supervisord of one stack."""

    def __init__(self, state: StateDir) -> None:
        """Name the stack's folder; nothing is started."""
        self._state = state

    def running(self) -> bool:
        """Return whether the daemon answers, and is this folder's. Raises PlatformFailed if its port cannot be read.

        In a copy of a folder whose backend runs, port and password are those of the daemon beside it.
        """
        return self._ask(
            lambda daemon: (
                daemon.getState()["statename"] == "RUNNING"
                and processes.state_of(daemon.getPID()) == str(self._state.path)
            ),
            otherwise=False,
        )

    def start(self) -> int:
        """Start the daemon if it does not run, and return its port.

        Processes that a killed daemon left behind are ended first: nobody would restart or stop them.
        Raises PlatformFailed if it does not answer in time.
        """
        with self._state.locked("supervisor"):
            if "supervisor" in ports.known(self._state) and self.running():
                return ports.known(self._state)["supervisor"]
            end_leftovers(self._state)
            port = self._configure()
            command = [sys.executable, "-m", "supervisor.supervisord", "-c", str(self._configuration)]
            environment = {name: os.environ[name] for name in _INHERITED if name in os.environ}
            subprocess.run(
                command,
                env=environment | {processes.STATE_MARKER: str(self._state.path)},
                cwd=_WORKING_FOLDER,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_START_TIMEOUT_S,
                start_new_session=True,
                check=False,
            )
            if not wait_until(self.running, timeout_s=_START_TIMEOUT_S):
                finding = f"supervisord did not answer on 127.0.0.1:{port} within {_START_TIMEOUT_S:.0f} s"
                fix = f"Read {self._state.supervisor / 'supervisord.log'}"
                raise PlatformFailed(finding, code="supervisor-not-startable", fix=fix, part="supervisor")
            return port

    def shutdown(self, *, timeout_s: float) -> None:
        """End the daemon and every program, and leave no process of this stack."""
        with self._state.locked("supervisor"):
            if self.running():
                with contextlib.suppress(*_RPC_ERRORS), self._rpc() as rpc:
                    rpc.supervisor.shutdown()
                wait_until(lambda: not processes.marked(str(self._state.path)), timeout_s=timeout_s)
            end_leftovers(self._state)

    def apply(self, program: render.Program) -> None:
        """Make the daemon run exactly this program, restarting it only if it changed or had been given up."""
        launcher = (sys.executable, "-m", "mlflow_backend.local.launch", str(self._state.path), program.name)
        log = self._state.logs / f"{program.name}.log"
        text = render.section(program, launcher=launcher, directory=_WORKING_FOLDER, log=log)
        with self._state.locked("programs"):
            self._state.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
            write(self._state.programs / f"{program.name}.json", json.dumps(program.manifest(), indent=2))
            write(self._section(program.name), text)
            restarted = self._reload(program.name)
            status = self.status(program.name)
            if status is None or restarted:
                return
            if status.state == "RUNNING" and not self._runs(program, status.pid):
                self._stop(program.name, within_s=program.stop_timeout_s + _STOP_MARGIN_S)
            elif status.state not in GAVE_UP:
                return
            self._call("startProcess", program.name, False)

    def remove(self, name: str) -> None:
        """Stop a program, with its grace period, and forget it."""
        with self._state.locked("programs"):
            self._section(name).unlink(missing_ok=True)
            (self._state.programs / f"{name}.json").unlink(missing_ok=True)
            if self.running():
                self._reload(name)

    def status(self, name: str) -> Status | None:
        """Return what the daemon says of a program, None if it knows none of that name or does not answer."""
        return self.statuses().get(name)

    def statuses(self) -> dict[str, Status]:
        """Return what the daemon says of all programs at once, by name; nothing if it does not answer."""
        found: list[dict[str, Any]] = self._ask(lambda daemon: daemon.getAllProcessInfo(), otherwise=[])
        return {str(info["name"]): Status(state=str(info["statename"]), pid=int(info["pid"])) for info in found}

    def programs(self) -> tuple[str, ...]:
        """Return the names of the programs that the daemon is configured to run, or still knows.

        Whoever was killed while it removed one has taken its section away and left it running.
        """
        configured = {path.stem for path in (self._state.supervisor / "programs").glob("*.conf")}
        return tuple(sorted(configured | self.statuses().keys()))

    def condition(self, program: render.Program) -> str:
        """Return `running`, or in a few words how the live program differs from the one that is wanted."""
        status = self.status(program.name)
        if status is None:
            return "unknown to the supervisor"
        if status.state not in RUNS:
            return f"{status.state.lower()}"
        if self._manifest(program.name) != program.manifest():
            return "started with another manifest"
        # One that is starting may still be the launcher.
        if status.state == "RUNNING" and not self._runs(program, status.pid):
            return "running with other arguments"
        return "running"

    def wait(
        self,
        name: str,
        ready: Callable[[], bool],
        *,
        timeout_s: float,
        hopeless: Callable[[str], bool] = lambda _log: False,
    ) -> None:
        """Wait until the program answers.

        Raises PlatformFailed, with the last lines of its log if it ends for good, if its log says that waiting
        is hopeless, or if the time is over.
        """
        deadline = time.monotonic() + timeout_s
        while not ready():
            log = self.tail(name)
            if self._has_ended(name):
                raise PlatformFailed(
                    f"ended while it started\n{log}", code="program-ended", fix=self.log_hint(name), part=name
                )
            if hopeless(log):
                raise PlatformFailed(
                    f"cannot start\n{log}", code="program-not-startable", fix=self.log_hint(name), part=name
                )
            if time.monotonic() > deadline:
                raise PlatformFailed(
                    f"did not answer within {timeout_s:.0f} s\n{log}",
                    code="program-not-answering",
                    fix=self.log_hint(name),
                    part=name,
                )
            time.sleep(_POLL_S)

    def tail(self, name: str, *, lines: int = _TAIL_LINES) -> str:
        """Return the last lines that a program wrote, without any secret."""
        path = self._state.logs / f"{name}.log"
        try:
            with path.open("rb") as stream:
                stream.seek(max(0, path.stat().st_size - max(_TAIL_BYTES, lines * _LINE_BYTES)))
                last = stream.read().decode(errors="replace").splitlines()[-lines:]
        except FileNotFoundError:
            return "  (it wrote nothing)"
        except OSError as error:
            return f"  ({path} cannot be read: {error.strerror}. Move it away, and run `make up`)"
        return credentials.redact(self._state, "\n".join(f"  | {line}" for line in last)) or "  (it wrote nothing)"

    def log_hint(self, name: str) -> str:
        """Say where to read on."""
        return f"Read {self._state.logs / f'{name}.log'}"

    @property
    def _configuration(self) -> Path:
        return self._state.supervisor / "supervisord.conf"

    def _section(self, name: str) -> Path:
        return self._state.supervisor / "programs" / f"{name}.conf"

    def _manifest(self, name: str) -> dict[str, Any] | None:
        """Return a program's manifest, None if it is missing or damaged: an update writes it anew."""
        try:
            return read_object(self._state.programs / f"{name}.json", "")
        except PlatformFailed:
            return None

    def _configure(self) -> int:
        port = ports.known(self._state).get("supervisor")
        if port is not None and not ports.is_free(port):
            ports.forget(self._state, "supervisor")
        port = ports.choose(self._state, "supervisor")
        text = render.supervisord(
            folder=self._state.supervisor,
            port=port,
            password=credentials.read(self._state, credentials.SUPERVISOR),
            user=getpass.getuser(),
            marker={processes.STATE_MARKER: str(self._state.path)},
        )
        (self._state.supervisor / "programs").mkdir(mode=0o700, parents=True, exist_ok=True)
        self._forget_damaged_sections()
        self._state.logs.mkdir(mode=0o700, parents=True, exist_ok=True)
        write(self._configuration, text)
        return port

    def _forget_damaged_sections(self) -> None:
        """Delete what the daemon cannot read, because it would not start: each program's section is written anew."""
        for path in (self._state.supervisor / "programs").glob("*.conf"):
            read = configparser.RawConfigParser(strict=False)
            with contextlib.suppress(configparser.Error, UnicodeDecodeError, OSError):
                read.read(path, encoding="utf-8")
            if path.is_dir():
                shutil.rmtree(path)
            elif not read.has_option(f"program:{path.stem}", "command"):
                path.unlink(missing_ok=True)

    def _rpc(self) -> xmlrpc.client.ServerProxy:
        port = ports.known(self._state).get("supervisor")
        password = credentials.read(self._state, credentials.SUPERVISOR)
        uri = f"http://mlflow-backend:{quote(password, safe='', errors='surrogateescape')}@{ports.LOOPBACK}:{port}/RPC2"
        return xmlrpc.client.ServerProxy(uri, transport=_Transport(), allow_none=True)

    def _ask(self, question: Callable[[Any], _Answer], *, otherwise: _Answer) -> _Answer:
        """Return the daemon's answer; another one if it does not answer, or nobody knows its password any more.

        Raises PlatformFailed if its port cannot be read.
        """
        try:
            with self._rpc() as rpc:
                return question(rpc.supervisor)
        except PlatformFailed as failure:
            if failure.code not in _NO_PASSWORD:
                raise
        except (*_RPC_ERRORS, KeyError):
            pass
        return otherwise

    def _call(self, method: str, *arguments: object) -> Any:
        try:
            with self._rpc() as rpc:
                return getattr(rpc.supervisor, method)(*arguments)
        except _RPC_ERRORS as error:
            finding = f"supervisord refused {method}({', '.join(map(str, arguments))}): {_reason(error)}"
            raise PlatformFailed(
                finding,
                code="supervisor-failed",
                fix=f"Read {self._state.supervisor / 'supervisord.log'}",
                part="supervisor",
            ) from None

    def _reload(self, name: str) -> bool:
        """Take over what changed of one program's section, and return whether that started it anew.

        Other programs' changes are left to their own callers.
        """
        grace_s = self._grace_s(name)
        self._forget_damaged_sections()
        (added, changed, removed), *_ = self._call("reloadConfig")
        if name in changed or name in removed:
            self._stop(name, within_s=grace_s + _STOP_MARGIN_S)
            self._call("removeProcessGroup", name)
        if name in added or name in changed:
            self._call("addProcessGroup", name)
        return name in added or name in changed

    def _grace_s(self, name: str) -> float:
        """Return how long the daemon waits before it kills a program that it has to stop."""
        known = {program["name"]: program["stopwaitsecs"] for program in self._call("getAllConfigInfo")}
        return float(known.get(name, 0))

    def _stop(self, name: str, *, within_s: float) -> None:
        """Stop a program. Asked for without waiting: a server may end its requests for longer than a call may take.

        Raises PlatformFailed if the daemon has not even killed it in that time.
        """
        self._call("stopProcessGroup", name, False)
        if not wait_until(lambda: self._has_ended(name), timeout_s=within_s):
            raise PlatformFailed(
                f"did not end within {within_s:.0f} s", code="program-not-ending", fix=self.log_hint(name), part=name
            )

    def _has_ended(self, name: str) -> bool:
        status = self.status(name)
        return status is None or status.state in GAVE_UP

    def _runs(self, program: render.Program, pid: int) -> bool:
        if not program.tree:
            return processes.command_line(pid)[-len(program.argv) :] == program.argv
        arguments = program.argv[1:]
        family = processes.marked(str(self._state.path), program.name)
        return any(processes.command_line(p.pid)[-len(arguments) :] == arguments for p in family)


def _reason(error: Exception) -> str:
    """Return an RPC error's words without the address, which holds the password."""
    if isinstance(error, xmlrpc.client.Fault):
        return str(error.faultString)
    if isinstance(error, xmlrpc.client.ProtocolError):
        return f"HTTP {error.errcode}"
    return type(error).__name__


def end_leftovers(state: StateDir) -> None:
    """End every process of the stack that no daemon looks after any more, the servers before their stores."""
    stores = processes.marked(str(state.path), *_STORES)
    processes.end([p for p in processes.marked(str(state.path)) if p not in stores], timeout_s=_LEFTOVER_GRACE_S)
    # SIGINT is Postgres's fast shutdown: SIGTERM would wait for clients.
    processes.end(stores, timeout_s=_LEFTOVER_GRACE_S, ask=signal.SIGINT)
