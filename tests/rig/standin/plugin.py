"""How the engine finds a stand-in: as an installed plugin of the version that the SDK asks for.

The vendor's own plugin takes its place if the variable PLUGIN of that provider names its executable.
"""

from __future__ import annotations

import os
import shlex
import sys
from pathlib import Path
from typing import Final

from tests.rig.standin.sdk import Sdk

PLUGIN: Final = "MLFLOW_BACKEND_RIG_{name}_PLUGIN"
ROOT: Final = Path(__file__).resolve().parents[3]


def install(home: Path, package: str) -> Path:
    """Put an SDK's provider into a PULUMI_HOME, the stand-in or the one that is named, and return its executable."""
    sdk = Sdk(package)
    folder = home / "plugins" / f"resource-{sdk.name}-v{sdk.version}"
    folder.mkdir(parents=True)
    program = folder / f"pulumi-resource-{sdk.name}"
    if named := os.environ.get(PLUGIN.format(name=sdk.name.upper())):
        program.symlink_to(Path(named).resolve(strict=True))
        return program
    program.write_text(
        "#!/bin/sh\n"
        f"cd {shlex.quote(str(ROOT))} || exit 1\n"
        # The SDK warns on stderr about its own retired names, which the engine would show as this provider's words.
        f'exec {shlex.quote(sys.executable)} -W ignore -m tests.rig.standin.{sdk.name} "$@"\n'
    )
    program.chmod(0o755)
    return program
