"""Data of an older Postgres major, carried into a data directory of the installed one by dump and restore.

Postgres refuses to start on data of another major. The old data are served once more by their own programs, which the
wheel still has, and stay beside the new ones as `database-MAJOR`, whole.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import psycopg2
from psycopg2 import sql

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.local import credentials, ports, processes
from mlflow_backend.local.postgres import (
    ADMIN,
    PART,
    last_line,
    major_of_data,
    major_of_programs,
    programs_of,
    session,
    set_password,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from mlflow_backend.local.state import StateDir

_START_S: Final = 60.0
_STOP_S: Final = 60.0
_POLL_S: Final = 0.1
# Patience for hundreds of GB; the update shows meanwhile that it works on the database.
_COPY_S: Final = 6 * 3600
_DATABASES: Final = """
    SELECT datname, pg_get_userbyid(datdba) FROM pg_database
    WHERE NOT datistemplate AND datname <> %s ORDER BY datname
"""


def source(data: Path, programs: Path) -> Path | None:
    """Return the programs that serve data of an older major than `programs`; None if nothing is to be carried over.

    Raises PlatformFailed if it cannot be; nothing is touched.
    """
    old, new = major_of_data(data), major_of_programs(programs)
    if old is None or old == new:
        return None
    if old > new:
        raise PlatformFailed(
            f"{data} is of Postgres {old}, and the installed one is {new}: data move to a newer major, never to an "
            "older one",
            code="postgres-older",
            fix="Update with the version of this project that made it",
            part=PART,
        )
    found = programs_of(old)
    if found is None:
        raise PlatformFailed(
            f"{data} is of Postgres {old}, and beside the programs of {new} none of {old} are installed",
            code="postgres-programs-missing",
            fix=f"Go back to a version of this project with Postgres {old}, dump with "
            "`python -m mlflow_backend_server.db dump` (server/README.md), and restore into a new stack",
            part=PART,
        )
    size = sum(each.stat().st_size for each in data.rglob("*") if each.is_file())
    if (free := shutil.disk_usage(data.parent).free) < size:
        raise PlatformFailed(
            f"{data} has {size // 2**20} MiB to be carried over to Postgres {new}, and {free // 2**20} MiB are free",
            code="postgres-space",
            fix="Make room, and repeat",
            part=PART,
        )
    return found


@dataclass(frozen=True, kw_only=True)
class Carrying:
    """One stack's data and what it takes to serve them: `prefix` drops root, `role` owns MLflow's databases."""

    state: StateDir
    programs: Path
    prefix: Sequence[str]
    role: str

    @property
    def _next(self) -> Path:
        return self.state.database.with_name("database.next")

    @property
    def _whole(self) -> Path:
        return self.state.database.with_name("database.carried")

    def needed(self) -> bool:
        """Return whether the data are of another major than the programs, or an earlier carrying was interrupted."""
        return self._whole.exists() or major_of_data(self.state.database) not in {
            None,
            major_of_programs(self.programs),
        }

    def carry(self, initialise: Callable[[Path], None]) -> None:
        """Carry the data over, while nothing serves them. Killed anywhere, it can be repeated.

        `initialise` makes an empty data directory of the new major. Raises PlatformFailed, with the old data as they
        were.
        """
        served_by = None if self._whole.exists() else source(self.state.database, self.programs)
        if served_by is not None:
            shutil.rmtree(self._next, ignore_errors=True)
            initialise(self._next)
            try:
                self._copy(served_by)
            except (OSError, psycopg2.Error, subprocess.SubprocessError) as error:
                raise self._failed(last_line(str(error))) from None
            self._next.rename(self._whole)
        old = major_of_data(self.state.database)
        if old is not None:
            self.state.database.rename(self._kept(old))
        self._whole.rename(self.state.database)

    def _kept(self, major: int) -> Path:
        first = self.state.database.with_name(f"database-{major}")
        number = sum(1 for _ in first.parent.glob(f"{first.name}*"))
        return first.with_name(f"{first.name}.{number + 1}") if number else first

    def _copy(self, served_by: Path) -> None:
        # It may have been renewed since these data were served.
        if said := set_password(self.prefix, served_by, self.state.database, self._password):
            raise self._failed(f"the old data cannot be opened: {said}")
        before = ports.free()
        after = ports.free(frozenset({before}))
        with self._serving(served_by, self.state.database, before), self._serving(self.programs, self._next, after):
            with session(before, ADMIN, self._password, ADMIN) as cursor:
                cursor.execute(_DATABASES, (ADMIN,))
                found = cursor.fetchall()
            with session(after, ADMIN, self._password, ADMIN) as cursor:
                # Its password and its databases' absence are the service's own business (Database.settle).
                cursor.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(self.role)))
                for name, owner in found:
                    made = sql.SQL("CREATE DATABASE {} OWNER {}")
                    cursor.execute(made.format(sql.Identifier(name), sql.Identifier(owner)))
            for name, _ in found:
                self._copy_database(name, before, after)

    def _copy_database(self, name: str, before: int, after: int) -> None:
        """Copy one database by the new major's pg_dump, which reads older servers."""
        environment = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "PGPASSWORD": self._password}
        address = ("--host", ports.LOOPBACK, "--username", ADMIN, "--dbname", name)
        read = [str(self.programs / "pg_dump"), *address, "--port", str(before)]
        write = [str(self.programs / "psql"), *address, "--port", str(after), "--quiet", "--no-psqlrc"]
        whole = ("--single-transaction", "--set", "ON_ERROR_STOP=1")
        with subprocess.Popen(read, env=environment, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as dump:
            try:
                done = subprocess.run(
                    [*write, *whole],
                    env=environment,
                    stdin=dump.stdout,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.PIPE,
                    text=True,
                    timeout=_COPY_S,
                    check=False,
                )
                dumped = dump.wait(timeout=_STOP_S)
            finally:
                dump.kill()
        if dumped or done.returncode:
            said = last_line(done.stderr) if done.returncode else f"pg_dump ended with {dumped}"
            raise self._failed(f"{name} could not be copied: {said}")

    @contextlib.contextmanager
    def _serving(self, programs: Path, data: Path, port: int) -> Iterator[None]:
        """Serve a data directory on loopback. The supervisor's next start ends a killed update's by its mark."""
        options = {"listen_addresses": ports.LOOPBACK, "port": str(port), "unix_socket_directories": ""}
        flags = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        log = data.with_name(f"{data.name}.log")
        with log.open("wb") as said:
            server = subprocess.Popen(
                [*self.prefix, str(programs / "postgres"), "-D", str(data), *flags],
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=subprocess.STDOUT,
                cwd="/",
                env={"PATH": os.environ.get("PATH", "/usr/bin:/bin"), processes.STATE_MARKER: str(self.state.path)},
            )
        try:
            self._wait(server, port, log)
            yield
        finally:
            # A fast shutdown, as the supervisor's own.
            server.send_signal(signal.SIGINT)
            server.wait(timeout=_STOP_S)
            log.unlink(missing_ok=True)

    def _wait(self, server: subprocess.Popen[bytes], port: int, log: Path) -> None:
        deadline = time.monotonic() + _START_S
        while True:
            try:
                with session(port, ADMIN, self._password, ADMIN):
                    return
            except psycopg2.Error:
                if server.poll() is not None or time.monotonic() > deadline:
                    said = last_line(log.read_text(errors="replace"))
                    raise self._failed(f"Postgres did not serve: {said}") from None
            time.sleep(_POLL_S)

    @property
    def _password(self) -> str:
        return credentials.read(self.state, credentials.DATABASE_ADMIN)

    def _failed(self, said: str) -> PlatformFailed:
        finding = f"the data could not be carried over to Postgres {major_of_programs(self.programs)}: {said}"
        return PlatformFailed(
            finding,
            code="postgres-upgrade-failed",
            fix=f"They are as they were in {self.state.database}; fix that, and repeat",
            part=PART,
        )
