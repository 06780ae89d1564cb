"""Of how the suite is shared among workers: what takes longest begins first, and the cluster is started once."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import distribution
from tests.distribution import scope_of, turn_of

ROOT = Path(__file__).parents[1]


def test_each_folder_that_comes_first_is_there() -> None:
    """A folder that was renamed would slip to the end, where its minutes keep one worker alone."""
    assert all((ROOT / folder).is_dir() for folder in (*distribution._ORDER, distribution.CLUSTER))


def test_what_starts_backends_comes_before_what_starts_nothing() -> None:
    """The cluster comes after the other platforms: it runs until its worker ends."""
    taken = ("tests/engine/a.py", "tests/rig/a.py", "tests/server/a.py", distribution.CLUSTER, "tests/components/a.py")
    assert sorted(taken, key=turn_of) == list(taken)


def test_the_cluster_stays_with_one_worker_and_other_files_each_with_any() -> None:
    """Whatever class or parameter a test has."""
    assert scope_of("tests/rig/kubernetes/test_a.py::test_one") == scope_of(
        "tests/rig/kubernetes/test_b.py::T::test_two"
    )
    assert scope_of("tests/rig/test_a.py::T::test_one[a::b]") == "tests/rig/test_a.py"


@pytest.mark.parametrize("workers", ["2", "3"])
def test_workers_take_the_files_in_that_order(tmp_path: Path, workers: str) -> None:
    """In a real run: the few tests of an engine's file begin before the many of a pure one."""
    for folder, tests in (("components", 9), ("engine", 1), ("rig/kubernetes", 1)):
        for name in ("one", "two"):
            path = tmp_path / "tests" / folder / f"test_{folder.replace('/', '_')}_{name}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"def test_{n}():\n    pass\n" for n in range(tests)))
    line = [sys.executable, "-m", "pytest", "-v", "-p", "tests.distribution", "--rootdir", str(tmp_path)]
    done = subprocess.run(
        [*line, "--numprocesses", workers, "--dist", "loadfile", "tests"],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    ran = re.findall(r"^\[(gw\d)\] .* PASSED tests/(\S+)/test_", done.stdout, re.MULTILINE)
    assert len({worker for worker, folder in ran if folder == "rig/kubernetes"}) == 1
    firsts = {worker: next(folder for each, folder in ran if each == worker) for worker, _ in ran}
    assert list(firsts.values()).count("engine") == 2
