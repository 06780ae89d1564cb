"""Containers as processes: their own view of the machine, their exit codes, and an end that nobody escapes."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

from tests.rig.processes import Container, Spec
from tests.server.services import until

pytestmark = pytest.mark.usefixtures("containers")

_ROOT = Path(__file__).resolve().parents[2]
_PATH = {"PATH": "/usr/bin:/bin"}
_STARTER = """
import time
from tests.rig.processes import Container, Spec
Container(Spec(argv=["sh", "-c", "sleep 3141 & sleep 3141"], environment={"PATH": "/usr/bin:/bin"}), said=print)
time.sleep(600)
"""


def test_a_container_sees_its_own_root(tmp_path: Path) -> None:
    """What is bound is there, its own volume is writable, the rest is read only, and its exit code comes back."""
    (tmp_path / "root").mkdir()
    (tmp_path / "volume").mkdir()
    (tmp_path / "file").write_text("from the image\n")
    said: list[str] = []
    spec = Spec(
        argv=["sh", "-c", "cat /opt/image/file; touch /volume/made; touch /etc/made || echo refused; exit 5"],
        environment=_PATH,
        root=tmp_path / "root",
        binds={tmp_path / "file": "/opt/image/file"},
        volumes={tmp_path / "volume": "/volume"},
        read_only=True,
    )
    container = Container(spec, said=said.append)
    assert container.wait(60)
    assert container.exit_code == 5
    assert said[0] == "from the image"
    assert said[-1] == "refused"
    assert (tmp_path / "volume" / "made").exists()


def test_a_killed_starter_leaves_no_process() -> None:
    """The test process is killed without a chance to clean up, and everything in its containers ends with it."""
    starter = subprocess.Popen([sys.executable, "-c", _STARTER], cwd=_ROOT, start_new_session=True)
    try:
        until(lambda: len(_sleepers(starter.pid)) == 2, what="the container's processes")
        held = _sleepers(starter.pid)
    finally:
        os.killpg(starter.pid, signal.SIGKILL)
        starter.wait(timeout=20)
    until(lambda: not any(each.is_running() for each in held), what="their end")


def _sleepers(pid: int) -> list[psutil.Process]:
    return [each for each in psutil.Process(pid).children(recursive=True) if each.name() == "sleep"]
