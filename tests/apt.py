"""Debian's programs that a test needs, installed where they are missing and root may do it."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

DEADLINE_S = 900
_APT = ("apt-get", "--option", "DPkg::Lock::Timeout=300")


def why_missing(programs: Sequence[str] | Mapping[str, str]) -> str | None:
    """Return why a program is not here and cannot be had, None if all are.

    A program's package has its name, or is given with it.
    """
    packages = programs if isinstance(programs, Mapping) else {program: program for program in programs}
    missing = [package for program, package in packages.items() if shutil.which(program) is None]
    if not missing:
        return None
    names = ", ".join(missing)
    if os.geteuid() != 0:
        return f"not installed, and installing them needs root: {names}"
    if shutil.which("apt-get") is None:
        return f"not installed, and no apt-get to install them: {names}"
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    for command in ((*_APT, "update"), (*_APT, "install", "--yes", "--no-install-recommends", *missing)):
        done = subprocess.run(command, capture_output=True, text=True, timeout=DEADLINE_S, check=False, env=environment)
        if done.returncode != 0:
            return f"{names} cannot be installed: {done.stderr.strip()[-300:]}"
    return None
