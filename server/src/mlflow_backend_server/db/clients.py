"""pg_dump and pg_restore as streams: started, fed or read, and checked by their exit codes."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from collections import deque
from contextlib import contextmanager, suppress
from typing import IO, TYPE_CHECKING

from psycopg2.extensions import make_dsn

from mlflow_backend_server.db.postgres import LOCK_WAIT_S
from mlflow_backend_server.db.verdicts import ExitCode, ToolError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from mlflow_backend_server.db.addresses import Address

#: The folder of the Postgres client programs, if they are not on PATH.
BIN_VARIABLE = "MLFLOW_BACKEND_POSTGRES_BIN"
#: pg_dump's own level, 6, takes twice as long for a dump of metrics, which is 7 % smaller (docs/benchmarks.md).
_COMPRESSION = 3
_KEPT_LINES = 5
_END_TIMEOUT_S = 30
_LONG_END_TIMEOUT_S = 3600


def program(name: str) -> str:
    """Return the path of a Postgres client program.

    Raises ToolError FAILED if it is not installed.
    """
    path = shutil.which(name, path=os.environ.get(BIN_VARIABLE) or None)
    if path is None:
        fix = f"Install the Postgres client programs, or name their folder in {BIN_VARIABLE}."
        raise ToolError(ExitCode.FAILED, f"{name} was not found.", fix)
    return path


@contextmanager
def dumping(address: Address, *, snapshot: str) -> Iterator[IO[bytes]]:
    """Run pg_dump on the exported snapshot; the context is its output.

    Raises ToolError FAILED, with pg_dump's last words, if it does not end well.
    """
    arguments = ["--format=custom", "--no-owner", "--no-privileges", f"--snapshot={snapshot}"]
    arguments += [f"--compress={_COMPRESSION}", f"--lock-wait-timeout={LOCK_WAIT_S}s"]
    with _running("pg_dump", [*arguments, "--dbname", _dsn(address)], address, stdin=None) as process:
        assert process.stdout is not None  # noqa: S101 - opened by _running
        yield process.stdout


@contextmanager
def restoring(address: Address) -> Iterator[IO[bytes]]:
    """Run pg_restore into the database; the context is its input. All or nothing.

    Raises ToolError FAILED, with pg_restore's last words, if it does not end well.
    """
    arguments = ["--format=custom", "--no-owner", "--no-privileges", "--single-transaction", "--exit-on-error"]
    with _running("pg_restore", [*arguments, "--dbname", _dsn(address)], address, stdin=subprocess.PIPE) as process:
        assert process.stdin is not None  # noqa: S101 - opened by _running
        yield process.stdin


@contextmanager
def unpacking(pieces: Iterable[bytes], *, tables: Sequence[str]) -> Iterator[IO[bytes]]:
    """Run pg_restore on a dump's bytes; the context is the rows of these tables, as COPY writes them.

    Raises ToolError FAILED, with pg_restore's last words, if it does not end well.
    """
    arguments = ["--format=custom", "--data-only", *(f"--table={table}" for table in tables), "--file=-"]
    failure: list[Exception] = []
    with _running("pg_restore", arguments, None, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None  # noqa: S101 - opened by _running
        assert process.stdout is not None  # noqa: S101 - the same
        feeder = threading.Thread(target=_feed, args=(process.stdin, pieces, failure), daemon=True)
        feeder.start()
        yield process.stdout
        feeder.join(timeout=_END_TIMEOUT_S)
    if failure:
        raise failure[0]


def _feed(stdin: IO[bytes], pieces: Iterable[bytes], failure: list[Exception]) -> None:
    try:
        for piece in pieces:
            stdin.write(piece)
        stdin.close()
    except BrokenPipeError:
        pass  # its exit code and last words say why it wants no more
    except Exception as error:  # noqa: BLE001 - reported by the thread that waits
        failure.append(error)
        with suppress(OSError):
            stdin.close()


@contextmanager
def _running(
    name: str, arguments: list[str], address: Address | None, *, stdin: int | None, stdout: int | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    environment = {**os.environ, **(_secret(address) if address else {})}
    process = subprocess.Popen(
        [program(name), *arguments],
        stdin=stdin if stdin is not None else subprocess.DEVNULL,
        stdout=stdout or (subprocess.PIPE if stdin is None else subprocess.DEVNULL),
        stderr=subprocess.PIPE,
        env=environment,
    )
    words: deque[str] = deque(maxlen=_KEPT_LINES)
    listener = threading.Thread(target=_listen, args=(process.stderr, words), daemon=True)
    listener.start()
    broken: BrokenPipeError | None = None
    try:
        try:
            yield process
            if process.stdin is not None and not process.stdin.closed:
                process.stdin.close()
        except BrokenPipeError as error:
            # It ended before it had read everything: its exit code and last words say why.
            broken = error
        code = process.wait(timeout=_LONG_END_TIMEOUT_S)
        listener.join(timeout=_END_TIMEOUT_S)
    finally:
        _end(process)
    if code != 0 or broken is not None:
        finding = f"{name} failed on {address or 'the dump'} (exit {code}): {' '.join(words)}"
        raise ToolError(ExitCode.FAILED, finding, "The source is untouched.")


def _end(process: subprocess.Popen[bytes]) -> None:
    if process.poll() is None:
        process.kill()
        process.wait(timeout=_END_TIMEOUT_S)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _listen(stream: IO[bytes], words: deque[str]) -> None:
    for line in stream:
        words.append(line.decode(errors="replace").strip())


def _dsn(address: Address) -> str:
    """Return the connection string without the password, which goes by the environment: argv is for all to read."""
    keywords = {key: value for key, value in address.parameters.items() if key != "password"}
    return make_dsn(**{**keywords, "dbname": address.name})


def _secret(address: Address) -> dict[str, str]:
    password = address.parameters.get("password")
    return {"PGPASSWORD": password} if password else {}
