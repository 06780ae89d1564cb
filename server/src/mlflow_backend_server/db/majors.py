"""Postgres's major versions: of a dump, of the server, and of the client programs between them.

A dump moves to a newer major, never to an older one; and pg_restore sets parameters of its own major (17 sets
`transaction_timeout`), which an older server refuses in the middle. Both are refused before anything is touched.
"""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING

from mlflow_backend_server.db.clients import program
from mlflow_backend_server.db.verdicts import ExitCode, ToolError

if TYPE_CHECKING:
    from collections.abc import Iterable

_VERSION = re.compile(r"(\d+)(?:\.\d+)*")
_DEADLINE_S = 30


def major(version: str) -> int:
    """Return the major of a version as Postgres states it, such as `16.14`; 0 for one that states none."""
    match = _VERSION.search(version)
    return int(match.group(1)) if match else 0


def client_major(name: str) -> int:
    """Return the major of an installed client program. Raises ToolError FAILED if it does not state it."""
    try:
        done = subprocess.run(
            [program(name), "--version"], capture_output=True, text=True, timeout=_DEADLINE_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        fix = "Install the Postgres client programs anew."
        raise ToolError(ExitCode.FAILED, f"{name} does not state its version ({type(error).__name__}).", fix) from None
    return major(done.stdout)


def refuse_dump(*, server: int, client: int) -> None:
    """Raise ToolError UNSUPPORTED if pg_dump cannot read the server: it reads its own major and older ones."""
    if server > client:
        raise ToolError(
            ExitCode.UNSUPPORTED,
            f"The database is Postgres {server}, and pg_dump is of {client}: it cannot dump a newer server.",
            f"Use an image whose client programs are of {server} (server/Dockerfile, POSTGRES_CLIENT).",
        )


def refuse_restore(dumped: Iterable[int], *, server: int, client: int) -> None:
    """Raise ToolError UNSUPPORTED if a dump cannot be restored into the server. A major of 0 is not known."""
    newest = max(dumped, default=0)
    if newest > server:
        raise ToolError(
            ExitCode.UNSUPPORTED,
            f"The dump is of Postgres {newest}, and the database is Postgres {server}: a dump moves to a newer major "
            "version, never to an older one.",
            f"Restore it into Postgres {newest} or newer.",
        )
    if client > server:
        raise ToolError(
            ExitCode.UNSUPPORTED,
            f"pg_restore is of Postgres {client}, and the database is Postgres {server}, which does not know all that "
            "it sets.",
            f"Upgrade the database to Postgres {client}, or use an image whose client programs are of {server} "
            "(server/Dockerfile, POSTGRES_CLIENT).",
        )
