"""Images built by buildah and containers run by podman, without a daemon and without a registry.

All that is built lies in the user's cache, so that a second run finds its layers again, keyed by content as buildah
does it. The base stands for Debian's `python:…-slim`: bootstrapped from the distribution's packages.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import subprocess
import tempfile
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from tests import apt

if TYPE_CHECKING:
    from collections.abc import Iterator

SUITE, PACKAGES = "trixie", "python3,python3-venv,ca-certificates"
TOOLS = ("buildah", "podman", "runc", "mmdebstrap")
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mlflow-backend" / "images"
STEP_DEADLINE_S = 900
KEPT = "168h"
#: As pip and apt reach their indexes here.
SHARED_FILES = ("/etc/pip.conf", "/etc/ssl/certs/ca-certificates.crt")
_BASE = "localhost/mlflow-backend-base"


@cache
def why_not() -> str | None:
    """Return why this machine cannot build and run images, None when it can; missing packages are installed."""
    if os.geteuid() != 0:
        return "building without a daemon needs root here"
    return apt.why_missing(TOOLS)


def run(*arguments: str | Path) -> str:
    """Run one step and return its output; a failure shows what it said."""
    done = subprocess.run(arguments, capture_output=True, text=True, timeout=STEP_DEADLINE_S, check=False)
    assert done.returncode == 0, f"{arguments}: {done.stderr[-4000:]}"
    return done.stdout


def storage(tool: str) -> list[str]:
    """Return the command of a tool on the image store in the cache."""
    place = ["--root", str(CACHE / "store"), "--runroot", str(CACHE / "run"), "--storage-driver", "overlay"]
    return [tool, *place]


def podman(verb: str, *arguments: str | Path) -> list[str | Path]:
    """Return a podman command that works on a machine with mixed cgroups."""
    return [*storage("podman"), "--runtime", "runc", "--cgroup-manager", "cgroupfs", verb, *arguments]


def base_image() -> str:
    """Return the base by digest, bootstrapped first where the cache has none of these packages."""
    tag = f"{_BASE}:{SUITE}-{hashlib.sha256(PACKAGES.encode()).hexdigest()[:12]}"
    digest = ("images", "--format", "{{.Digest}}", "--filter", f"reference={tag}")
    with _alone():
        if not (found := run(*storage("buildah"), *digest).strip()):
            with tempfile.TemporaryDirectory(dir=CACHE) as folder:
                archive = Path(folder) / "base.tar"
                run("mmdebstrap", "--variant=minbase", f"--include={PACKAGES}", SUITE, archive)
                container = run(*storage("buildah"), "from", "scratch").strip()
                run(*storage("buildah"), "add", "--quiet", container, archive, "/")
                run(*storage("buildah"), "commit", "--quiet", "--rm", container, tag)
            found = run(*storage("buildah"), *digest).strip()
    return f"{_BASE}@{found}"


def build(context: Path, arguments: list[str]) -> str:
    """Build the Dockerfile in a folder and return the image's id, which no other build can take over."""
    given = [part for each in arguments for part in ("--build-arg", each)]
    shared = [part for file in SHARED_FILES if Path(file).exists() for part in ("--volume", f"{file}:{file}:ro")]
    way = ("--isolation", "chroot", "--layers", "--pull-never", "--format", "docker")
    with tempfile.TemporaryDirectory() as folder, _alone():
        written = Path(folder) / "id"
        # What nothing was built on for so long; a cache that only grows fills a disk.
        run(*storage("podman"), "image", "prune", "--force", "--filter", f"until={KEPT}")
        try:
            run(*storage("buildah"), "bud", *way, "--iidfile", written, *shared, *given, context)
        finally:
            # A build that fails leaves the containers of its stages. Nothing else builds here meanwhile.
            run(*storage("buildah"), "rm", "--all")
        return written.read_text().strip()


@contextmanager
def _alone() -> Iterator[None]:
    """Keep other test runs on this machine from building the same layers at the same time."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
