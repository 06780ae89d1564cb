"""The AWS provider's plugin from the vendor's archive, compared with the committed checksum before Pulumi unpacks it.

`pulumi plugin install --checksum` is not used: over HTTP/1.1 it leaves the last bytes out of its sum (3.259.0).
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tools.bootstrap import checksums, download, pins
from tools.bootstrap.commands import CommandError, run
from tools.bootstrap.steps import StepFailedError, UnavailableError, say

if TYPE_CHECKING:
    from collections.abc import Mapping

BASE_URL_VARIABLE = "MLFLOW_BACKEND_PLUGIN_RELEASES"
"""Names a mirror that serves the archive under the vendor's name."""
INSTALL_DEADLINE_S = 300
STEP = "plugin"


def ensure(environment: Mapping[str, str]) -> None:
    """Install the pinned plugin; do nothing if no checksum of its archive is committed.

    Raises:
        StepFailedError: the archive cannot be downloaded, or differs from its checksum.
    """
    platform = pins.platform_name()
    archive = checksums.plugin_archive(platform) if platform else ""
    pinned = checksums.committed(archive)
    if pinned is None:
        return
    url = f"{environment.get(BASE_URL_VARIABLE, checksums.PLUGINS).rstrip('/')}/{archive}"
    say(STEP, f"downloading {archive}")
    with tempfile.TemporaryDirectory(prefix="mlflow-backend-plugin-") as folder:
        packed = Path(folder, archive)
        try:
            found = download.fetch(url, packed, step=STEP)
            if found == pinned:
                version = f"v{pins.AWS_PLUGIN}"
                install = ("pulumi", "plugin", "install", "resource", "aws", version, "--file", str(packed))
                run(install, deadline_s=INSTALL_DEADLINE_S, environment=environment)
        except (OSError, UnavailableError, CommandError) as error:
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
