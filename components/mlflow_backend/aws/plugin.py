"""The AWS provider's plugin, which Pulumi needs beside its SDK: at hand, fetched, or missing in one sentence.

The engine fetches a missing plugin itself; if it cannot, it buries that under a warning a try. So it is asked
for here first, in the same way; a plugin that is there costs one look at the disk.
"""

from __future__ import annotations

import importlib.metadata
import os
import shutil
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Final

from mlflow_backend.contract import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME: Final = "aws"
_DOWNLOAD_DEADLINE_S: Final = 600


def version() -> str:
    """Return the version of the plugin, which is that of the installed SDK."""
    return importlib.metadata.version("pulumi-aws")


def require(environment: Mapping[str, str] = os.environ) -> None:
    """Fetch the plugin if it is not at hand. Raises Refused, with how to get it if it cannot be had.

    If `CI` is `true` it is not fetched: there scripts/preview.py has installed it, by its checksum.
    """
    wanted = version()
    if at_hand(wanted, environment):
        return
    if environment.get("CI") == "true":
        raise Refused(
            f"Pulumi's provider plugin `{NAME}` {wanted} is missing, and no checksum of its archive is committed.",
            code="plugin-without-checksum",
            fix="Run `python -m tools.bootstrap.checksums`, compare what it finds, and commit "
            "tools/bootstrap/checksums.txt.",
        )
    command = f"pulumi plugin install resource {NAME} v{wanted}"
    problem = _fetch(command.split(), environment)
    if problem is not None:
        raise Refused(
            f"Pulumi's provider plugin `{NAME}` {wanted} is not installed, and {problem}.",
            code="plugin-not-installed",
            fix=f"Run `{command}` where the internet can be reached, or `{command} --file ARCHIVE` with its archive "
            f"(pulumi-resource-{NAME}-v{wanted}-OS-ARCH.tar.gz).",
        )


def at_hand(version: str, environment: Mapping[str, str]) -> bool:
    """Return whether the engine will find a plugin: one that runs already, one on PATH, or an installed one."""
    running = environment.get("PULUMI_DEBUG_PROVIDERS", "").split(",")
    if any(each.partition(":")[0] == NAME for each in running):
        return True
    if shutil.which(f"pulumi-resource-{NAME}", path=environment.get("PATH", "")) is not None:
        return True
    home = Path(environment.get("PULUMI_HOME") or Path.home() / ".pulumi")
    folder = home / "plugins" / f"resource-{NAME}-v{version}"
    # An installation that was broken off leaves this mark beside its folder.
    return folder.is_dir() and not folder.with_name(f"{folder.name}.partial").exists()


def _fetch(command: list[str], environment: Mapping[str, str]) -> str | None:
    """Install the plugin; return, as a clause, why that failed."""
    if environment.get("PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION", "").lower() in {"1", "true"}:
        return "PULUMI_DISABLE_AUTOMATIC_PLUGIN_ACQUISITION forbids to fetch it"
    try:
        done = subprocess.run(
            [*command, "--non-interactive", "--color", "never"],
            env=dict(environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_DOWNLOAD_DEADLINE_S,
            check=False,
        )
    except FileNotFoundError:
        # The engine runs this program, so that there is one somewhere: it is left to it.
        return None
    except subprocess.TimeoutExpired:
        return f"it was not downloaded within {_DOWNLOAD_DEADLINE_S} s"
    if done.returncode == 0:
        return None
    reasons = [line for line in done.stdout.splitlines() if line.lower().startswith("warning: error")]
    reason = (reasons or done.stdout.strip().splitlines() or ["it gave no reason"])[-1]
    return f"it could not be downloaded ({reason.rpartition(': ')[2].strip()})"
