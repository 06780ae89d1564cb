"""Which Pulumi CLI this repository works with.

The Python SDK in pyproject.toml and the module in tools/go.mod have the same version; a test holds them together.
"""

from __future__ import annotations

import platform
import re

VERSION = "3.259.0"
"""What is downloaded or built."""

NEXT_MAJOR = 4
"""A CLI on PATH is taken from VERSION up to, not including, this major version."""

_SYSTEMS = {"Linux": "linux", "Darwin": "darwin"}
_MACHINES = {"x86_64": "x64", "AMD64": "x64", "aarch64": "arm64", "arm64": "arm64"}

PLATFORMS = tuple(f"{system}-{machine}" for system in ("linux", "darwin") for machine in ("x64", "arm64"))
"""For which the vendor has archives that are served here."""


def supported(version: str) -> bool:
    """Whether `version`, as `pulumi version` prints it, is in the supported range; pre-releases are not."""
    match = re.fullmatch(r"v?(\d+)\.(\d+)\.(\d+)", version.strip())
    if match is None:
        return False
    numbers = tuple(int(part) for part in match.groups())
    return tuple(int(part) for part in VERSION.split(".")) <= numbers < (NEXT_MAJOR, 0, 0)


def platform_name() -> str | None:
    """This machine as the vendor names it in its archives, such as `linux-x64`; None where there is no archive."""
    system = _SYSTEMS.get(platform.system())
    machine = _MACHINES.get(platform.machine())
    return f"{system}-{machine}" if system and machine else None
