"""The AWS provider's plugin from the vendor's archive, held to the committed checksum before Pulumi unpacks it.

`pulumi plugin install --checksum` is not used: over HTTP/1.1 it leaves the last bytes out of its sum (3.259.0).
"""

from __future__ import annotations

import http.client
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tools.bootstrap import checksums
from tools.bootstrap.commands import CommandError, run
from tools.bootstrap.steps import StepFailedError, say

if TYPE_CHECKING:
    from collections.abc import Mapping

BASE_URL_VARIABLE = "MLFLOW_BACKEND_PLUGIN_RELEASES"
"""Names a mirror that serves the archive under the vendor's name."""
INSTALL_DEADLINE_S = 300
STEP = "plugin"


def ensure(version: str, environment: Mapping[str, str]) -> None:
    """Install the plugin of this version; nothing where no checksum of its archive is committed.

    Raises:
        StepFailedError: the archive cannot be had, or is not what its checksum says.
    """
    archive = checksums.plugin_archive(version)
    pinned = archive and checksums.committed(archive)
    if archive is None or pinned is None:
        return
    url = f"{environment.get(BASE_URL_VARIABLE, checksums.PLUGINS).rstrip('/')}/{archive}"
    say(STEP, f"downloading {archive}")
    with tempfile.TemporaryDirectory(prefix="mlflow-backend-plugin-") as folder:
        packed = Path(folder, archive)
        try:
            found = checksums.fetch(url, packed)
            if found == pinned:
                command = ("pulumi", "plugin", "install", "resource", "aws", f"v{version}", "--file", str(packed))
                run(command, deadline_s=INSTALL_DEADLINE_S, environment=environment)
        except (OSError, http.client.HTTPException, CommandError) as error:
            raise StepFailedError(
                what=f"installing {archive}",
                why=str(error),
                fix=f"name a mirror by {BASE_URL_VARIABLE}, or install the archive by `pulumi plugin install --file`",
            ) from error
    if found != pinned:
        raise StepFailedError(
            what=f"checking {archive}",
            why=f"{url} has SHA-256 {found}, committed is {pinned}",
            fix="nothing was installed; do not use this archive, and find out what stands between you and the vendor",
        )
