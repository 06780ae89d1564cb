"""Nothing of a cluster is left on the machine, whichever way it ends, and what is left would be seen."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.rig import processes
from tests.rig.kubernetes import cgroups, images, leftovers
from tests.rig.kubernetes.namespaces import Namespaces, Program
from tests.server.services import until

if TYPE_CHECKING:
    from collections.abc import Iterator

_ROOT = Path(__file__).resolve().parents[3]
_OWNER = """
import sys, time
from pathlib import Path
from tests.rig.kubernetes import cgroups, leftovers
from tests.rig.kubernetes.namespaces import Namespaces, Program
made = Namespaces()
Program(made, Path(sys.argv[1]) / "log", ["sleep", "3141"]).start()
print(leftovers.network_of(made.holder), cgroups.make(), flush=True)
time.sleep(600)
"""


@pytest.fixture(autouse=True)
def able() -> None:
    """Skip where this machine cannot run a cluster."""
    if why := processes.missing():
        pytest.skip(f"the rig's cluster runs in namespaces of its own: {why}")


@pytest.fixture
def cgroup() -> Iterator[str]:
    """A root of control groups."""
    made = cgroups.make()
    yield made
    cgroups.remove(made)


def test_what_is_left_is_found_and_gone_after_the_end(tmp_path: Path, cgroup: str) -> None:
    """A process in the cluster's network, a mount below its folder and a control group are each found."""
    made = Namespaces()
    network = leftovers.network_of(made.holder)
    (tmp_path / "mounted").mkdir()
    program = Program(made, tmp_path / "log", ["sleep", "3141"])
    program.start()
    try:

        def seen() -> bool:
            # Between fork and exec it still has the name of what starts it.
            return any("sleep 3141" in each for each in leftovers.find(tmp_path, network, cgroup))

        until(seen, what="the program", deadline_s=20)
        assert any(each.endswith(cgroup) for each in leftovers.find(tmp_path, network, cgroup))
    finally:
        made.close()
        program.wait()
    assert all(each.endswith(cgroup) for each in leftovers.find(tmp_path, network, cgroup))
    subprocess.run(("mount", "-t", "tmpfs", "rig", tmp_path / "mounted"), check=True, timeout=20)
    try:
        assert any("mount" in each for each in leftovers.find(tmp_path, network, cgroup))
    finally:
        subprocess.run(("umount", tmp_path / "mounted"), check=True, timeout=20)


def test_a_killed_owner_leaves_nothing(tmp_path: Path) -> None:
    """Namespaces end with the process that made them; control groups, which the kernel keeps, with the next start."""
    owner = subprocess.Popen(
        (sys.executable, "-c", _OWNER, tmp_path), cwd=_ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True
    )
    with owner:
        assert owner.stdout is not None
        network, cgroup = owner.stdout.readline().split()
        assert leftovers.find(tmp_path, network, cgroup)
        os.kill(owner.pid, signal.SIGKILL)
    until(lambda: not list(leftovers._processes(tmp_path, network)), what="the namespaces' end", deadline_s=20)
    assert leftovers.find(tmp_path, network, cgroup)
    cgroups.remove(cgroups.make())
    assert not leftovers.find(tmp_path, network, cgroup)


def test_this_thread_comes_back(tmp_path: Path) -> None:
    """After it was in a cluster's network, also by an error: the next test of this worker would be alone there."""
    network, mounts = (Path(f"/proc/thread-self/ns/{name}").readlink() for name in ("net", "mnt"))
    names = tmp_path / "names"
    names.write_text("nameserver 192.0.2.53\n")
    made = Namespaces()

    def fail() -> None:
        with made.entered({"/etc/resolv.conf": names}):
            assert leftovers.network_of(made.holder) == str(Path("/proc/thread-self/ns/net").readlink())
            assert Path("/etc/resolv.conf").read_text() == names.read_text()
            raise ZeroDivisionError

    try:
        with pytest.raises(ZeroDivisionError):
            fail()
    finally:
        made.close()
    assert (network, mounts) == tuple(Path(f"/proc/thread-self/ns/{name}").readlink() for name in ("net", "mnt"))
    assert Path("/etc/resolv.conf").read_text() != names.read_text()


def test_the_cache_does_not_grow(tmp_path: Path) -> None:
    """Each change of the server makes an archive and a store of gigabytes, which filled a disk within a day."""
    hours = {"store-a": 0, "store-b": 1, "store-c": 2, "store-d": 4, "store-e": 5, "stores-a.tar": 9, "store-e.lock": 9}
    for name, age in hours.items():
        (tmp_path / name).mkdir() if name.startswith("store-") and "." not in name else (tmp_path / name).touch()
        then = time.time() - age * 3600 - 60
        os.utime(tmp_path / name, (then, then))
    images.used(tmp_path / "store-e")
    assert {each.name for each in tmp_path.iterdir()} == set(hours) - {"store-d"}
