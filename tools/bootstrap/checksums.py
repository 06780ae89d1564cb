"""SHA-256 of the vendor's archives, as a reviewer has committed them: the Pulumi CLI's and the AWS provider's plugin's.

`python -m tools.bootstrap.checksums` resolves those of the pinned versions into `checksums.txt` beside this file, in
the form of `sha256sum`; whoever reviews the commit compares them from another network. Where `CI` is `true`, no archive
of the vendor's is installed that this file does not hold.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from tools.bootstrap import download, files, pins
from tools.bootstrap.steps import UnavailableError, say

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FILE = Path(__file__).with_name("checksums.txt")
RELEASES = "https://get.pulumi.com/releases/sdk"
PLUGINS = "https://api.pulumi.com/releases/plugins"
STEP = "checksums"
HEADING = """\
# SHA-256 of what is installed from Pulumi's hosts, written by `python -m tools.bootstrap.checksums`.
# Review: run it on another network too, and compare.
"""


def required(environment: Mapping[str, str]) -> bool:
    """Return whether an archive without a committed checksum is refused: in a job, which nobody watches."""
    return environment.get("CI") == "true"


def committed(archive: str) -> str | None:
    """Return the SHA-256 that is committed for an archive, in lower case; None if there is none."""
    return listed(FILE.read_text(encoding="utf-8"), archive) if FILE.exists() else None


def listed(checksums: str, archive: str) -> str | None:
    """Return the SHA-256 that a checksums file gives for an archive, in lower case; None if it gives none."""
    for line in checksums.splitlines():
        match = re.fullmatch(r"([0-9a-fA-F]{64})\s+\*?(\S+)", line.strip())
        if match and PurePosixPath(match[2]).name == archive:
            return match[1].lower()
    return None


def cli_archive(platform: str) -> str:
    """Return the name of the CLI's archive for a platform."""
    return f"pulumi-v{pins.VERSION}-{platform}.tar.gz"


def plugin_archive(platform: str) -> str:
    """Return the name of the AWS plugin's archive for a platform."""
    # The CLI's archives say x64, a plugin's amd64.
    return f"pulumi-resource-aws-v{pins.AWS_PLUGIN}-{platform.replace('x64', 'amd64')}.tar.gz"


def archives() -> Iterator[tuple[str, str]]:
    """Yield each archive that some platform installs, with the option that names its host: `releases` or `plugins`."""
    for platform in pins.PLATFORMS:
        yield "releases", cli_archive(platform)
        yield "plugins", plugin_archive(platform)


def main(arguments: list[str] | None = None) -> int:
    """Write the file; 1 with a sentence, and the file as it was, if an archive cannot be downloaded."""
    parser = argparse.ArgumentParser(prog="tools.bootstrap.checksums", description=__doc__)
    parser.add_argument("--releases", default=RELEASES, metavar="URL", help="where the CLI's archives are")
    parser.add_argument("--plugins", default=PLUGINS, metavar="URL", help="where the provider's archives are")
    options = parser.parse_args(arguments)
    lines = []
    for kind, archive in archives():
        url = f"{getattr(options, kind).rstrip('/')}/{archive}"
        try:
            lines.append(f"{download.fetch(url, Path(os.devnull), step=STEP)}  {archive}\n")
        except UnavailableError as error:
            say(STEP, f"{error}; nothing was written")
            return 1
        say(STEP, lines[-1].strip())
    files.write_whole(FILE, HEADING + "".join(lines))
    say(STEP, f"compare, then commit {os.path.relpath(FILE)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
