"""How the engine finds a stand-in: as an installed plugin of the version that the SDK asks for."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Final

from tests.rig.standin.sdk import Sdk

ROOT: Final = Path(__file__).resolve().parents[3]


def install(home: Path, package: str) -> Path:
    """Put the stand-in for an SDK's provider into a PULUMI_HOME, and return its executable."""
    sdk = Sdk(package)
    folder = home / "plugins" / f"resource-{sdk.name}-v{sdk.version}"
    folder.mkdir(parents=True)
    program = folder / f"pulumi-resource-{sdk.name}"
    program.write_text(
        "#!/bin/sh\n"
        f"cd {shlex.quote(str(ROOT))} || exit 1\n"
        # The SDK warns on stderr about its own retired names, which the engine would show as this provider's words.
        f'exec {shlex.quote(sys.executable)} -W ignore -m tests.rig.standin.{sdk.name} "$@"\n'
    )
    program.chmod(0o755)
    return program
