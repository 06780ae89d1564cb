"""What the local Postgres may do on the machine of a user who is root."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.local import credentials
from mlflow_backend.local.database import Database
from mlflow_backend.local.state import StateDir

if TYPE_CHECKING:
    from collections.abc import Iterator

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="only root has privileges to drop")

# CAP_DAC_READ_SEARCH, bit 2 of linux/capability.h.
READ_SEARCH = 1 << 2


@pytest.fixture(params=[0o755, 0o700], ids=["folder-open-to-all", "folder-private-to-root"])
def database(request: pytest.FixtureRequest) -> Iterator[tuple[Database, bool]]:
    """A prepared data directory, and whether every user may enter the folder of the project."""
    # pytest's own temporary folders are private, so that Postgres would always need its capability.
    project = Path(tempfile.mkdtemp(prefix="mlflow-backend-privileges-", dir="/tmp"))
    project.chmod(request.param)
    try:
        state = StateDir(project / "state")
        credentials.ensure(state)
        made = Database(state, 5432, max_connections=20)
        made.prepare()
        yield made, request.param == 0o755
    finally:
        shutil.rmtree(project)


def as_postgres(database: Database, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command with what the supervised Postgres would have."""
    return subprocess.run(
        [*database.program().prefix, *command], capture_output=True, text=True, timeout=30, check=False, cwd="/"
    )


def test_postgres_keeps_no_more_than_it_needs(database: tuple[Database, bool]) -> None:
    """COPY TO PROGRAM starts programs as Postgres: none may write root's files, nor read them if that can be spared."""
    server, open_to_all = database
    status = as_postgres(server, "cat", "/proc/self/status").stdout
    (effective,) = [line.split()[1] for line in status.splitlines() if line.startswith("CapEff:")]
    assert int(effective, 16) == (0 if open_to_all else READ_SEARCH)
    assert (as_postgres(server, "cat", "/etc/shadow").returncode != 0) is open_to_all
    root_file = server.state.path / "of-root"
    root_file.write_text("root's")
    assert as_postgres(server, "sh", "-c", f"echo changed > '{root_file}'").returncode != 0


def test_postgres_reaches_its_data_and_programs(database: tuple[Database, bool]) -> None:
    """What is left is enough to start: the program finds its library and its data directory."""
    server, _ = database
    program = server.program()
    found = as_postgres(server, program.argv[0], "-D", str(server.state.database), "-C", "data_directory")
    assert found.stdout.strip() == str(server.state.database), found.stderr


def test_other_users_stay_out_of_the_state_folder(database: tuple[Database, bool]) -> None:
    """Only Postgres's group may enter it, and nobody but root may list it."""
    server, _ = database
    assert server.state.path.stat().st_mode & 0o777 == 0o710
    stranger = ("setpriv", "--reuid=65000", "--regid=65000", "--clear-groups", "--inh-caps=-all", "--")
    listing = subprocess.run(
        [*stranger, "ls", str(server.state.path / "credentials")], capture_output=True, timeout=30, check=False
    )
    assert listing.returncode != 0
