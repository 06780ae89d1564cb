"""The pinned versions of the Pulumi CLI and of the SDKs, and the rule that says which CLI serves them.

Each version is stated once: the CLI's in tools/offline/go.mod, from which it is built if it cannot be downloaded, and
the SDKs' in requirements/runtime.txt.
"""

from __future__ import annotations

import platform
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def pinned(file: str, pattern: str) -> str:
    """Return the one version that a pattern finds in a file of the repository."""
    (version,) = re.findall(pattern, (ROOT / file).read_text(encoding="utf-8"), re.MULTILINE)
    return str(version)


VERSION = pinned("tools/offline/go.mod", r"^require github\.com/pulumi/pulumi/pkg/v3 v(\S+)$")
"""The CLI that is downloaded or built."""
SDK = pinned("requirements/runtime.txt", r"^pulumi==(\S+)")
AWS_PLUGIN = pinned("requirements/runtime.txt", r"^pulumi-aws==(\S+)")
"""The AWS provider's plugin has the version of its SDK."""
KUBERNETES_PLUGIN = pinned("requirements/runtime.txt", r"^pulumi-kubernetes==(\S+)")
"""The same; a plugin that is built from its module is labelled so, or the engine would look for another."""

_SYSTEMS = {"Linux": "linux", "Darwin": "darwin"}
_MACHINES = {"x86_64": "x64", "AMD64": "x64", "aarch64": "arm64", "arm64": "arm64"}

PLATFORMS = tuple(f"{system}-{machine}" for system in ("linux", "darwin") for machine in ("x64", "arm64"))
"""For which the vendor has archives that are served here."""


def supported(version: str) -> bool:
    """Whether a CLI of `version`, as `pulumi version` prints it, serves the SDK: of its major version, and not older.

    An SDK asks its engine for what came with its own release, while an engine serves every older SDK of its major
    version. Pre-releases are not taken.
    """
    return bool(re.fullmatch(r"v?\d+\.\d+\.\d+", version.strip())) and (
        _numbers(SDK) <= _numbers(version) < (_numbers(SDK)[0] + 1,)
    )


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.strip().removeprefix("v").split("."))


def platform_name() -> str | None:
    """This machine as the vendor names it in its archives, such as `linux-x64`; None if there is no archive."""
    system = _SYSTEMS.get(platform.system())
    machine = _MACHINES.get(platform.machine())
    return f"{system}-{machine}" if system and machine else None
