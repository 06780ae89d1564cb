"""The README's first command on a clean clone: nothing of this tree is used, only what the machine caches."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from mlflow_backend.caches import cache_folder
from mlflow_backend.local import processes
from mlflow_backend.local.state import StateDir
from tests.engine import written
from tests.engine.project import ROOT
from tests.engine.stack import count_starts, nothing_changed

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = pytest.mark.engine

# A cold machine installs the packages and builds the CLI; a warm one takes under a minute.
TIMEOUT_S = 1500


def make(clone: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run make in the clone."""
    return run(clone, "make", *arguments)


def run(clone: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Run a command in the clone, as a user does: without this test's environment."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "CI") if name in os.environ}
    trust = {k: v for k, v in os.environ.items() if k.endswith(("_CERT", "_CERT_FILE", "_CA_BUNDLE", "_INDEX_URL"))}
    path = os.pathsep.join(p for p in kept["PATH"].split(os.pathsep) if not p.startswith(str(ROOT)))
    return subprocess.run(
        command,
        cwd=clone,
        env={**kept, **trust, "PATH": path, "XDG_CACHE_HOME": str(clone.parent / "cache")},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


@pytest.fixture
def clone(tmp_path: Path) -> Iterator[Path]:
    """A fresh clone of what is committed, whose processes are ended whatever happens.

    Its cache is the machine's in the parts that are known, so that a new part is seen.
    """
    target = tmp_path / "clone"
    subprocess.run(["git", "clone", "--quiet", str(ROOT), str(target)], check=True, timeout=120)
    (tmp_path / "cache" / "mlflow-backend").mkdir(parents=True)
    for part in written.CACHED:
        cache_folder(part).mkdir(parents=True, exist_ok=True)
        (tmp_path / "cache" / "mlflow-backend" / part).symlink_to(cache_folder(part))
    yield target
    processes.end(processes.marked(str(target / ".backend" / "local")), timeout_s=5)


@pytest.mark.slow
@pytest.mark.timeout(2 * TIMEOUT_S)
def test_make_up_works_on_a_clean_clone_and_make_down_leaves_nothing(clone: Path) -> None:
    """`make up` sets up, deploys and verifies; again it changes nothing; `make down PURGE=1` leaves no trace."""
    state = StateDir(clone / ".backend" / "local")
    first = make(clone, "up")
    assert first.returncode == 0, first.stdout
    count_starts(1)
    assert 'verdict : "pass"' in first.stdout
    assert "export MLFLOW_TRACKING_URI=" in first.stdout
    assert json.loads(state.report.read_text())["verdict"] == "pass"
    again = make(clone, "up")
    assert again.returncode == 0, again.stdout
    assert nothing_changed(again.stdout), again.stdout
    typed = run(clone, "bash", "-c", ". .tools/activate && pulumi up --stack local --yes")
    assert typed.returncode == 0, typed.stdout
    assert "refresh" in typed.stdout
    assert nothing_changed(typed.stdout), typed.stdout
    status = make(clone, "status")
    assert status.returncode == 0, status.stdout
    # What is written and has no place there is in no test of damages either.
    assert [kind for kind in written.each(clone) if written.tried_by(kind) is None] == []
    assert {path.name for path in (clone.parent / "cache" / "mlflow-backend").iterdir()} == written.CACHED
    down = make(clone, "down", "PURGE=1")
    assert down.returncode == 0, down.stdout
    assert not processes.marked(str(state.path))
    assert not state.path.exists()
    # The hand-typed update left the salt of this clone's passphrase; any make target takes it out.
    tracked = subprocess.run(["git", "status", "--porcelain"], cwd=clone, capture_output=True, text=True, check=True)
    assert tracked.stdout == ""
