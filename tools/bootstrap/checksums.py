"""SHA-256 of the vendor's archives, as a reviewer has committed them: the Pulumi CLI's and the AWS provider's plugin's.

`python -m tools.bootstrap.checksums` resolves those of the pinned versions into `checksums.txt` beside this file, in
the form of `sha256sum`; whoever reviews the commit compares them from another network. Where `CI` is `true`, no archive
of the vendor's is installed that this file does not hold.
"""

from __future__ import annotations

import argparse
import hashlib
import http.client
import os
import re
import sys
import urllib.request
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING

from tools.bootstrap import files, pins
from tools.bootstrap.steps import say

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

FILE = Path(__file__).with_name("checksums.txt")
RELEASES = "https://get.pulumi.com/releases/sdk"
PLUGINS = "https://api.pulumi.com/releases/plugins"
STEP = "checksums"
SILENCE_S = 60.0
"""Seconds without a byte after which a download counts as broken off."""
HEADING = """\
# SHA-256 of what is installed from Pulumi's hosts, written by `python -m tools.bootstrap.checksums`.
# Review: run it on another network too, and compare.
"""


def required(environment: Mapping[str, str]) -> bool:
    """Tell whether an archive without a committed checksum is refused: wherever nobody watches."""
    return environment.get("CI") == "true"


def committed(archive: str, file: Path | None = None) -> str | None:
    """Return the SHA-256 that is committed for an archive, in lower case; None where there is none."""
    file = file or FILE
    return listed(file.read_text(encoding="utf-8"), archive) if file.exists() else None


def listed(checksums: str, archive: str) -> str | None:
    """Return the SHA-256 that a checksums file gives for an archive, in lower case; None where it gives none."""
    for line in checksums.splitlines():
        match = re.fullmatch(r"([0-9a-fA-F]{64})\s+\*?(\S+)", line.strip())
        if match and PurePosixPath(match[2]).name == archive:
            return match[1].lower()
    return None


def plugin_archive(version: str, platform: str | None = None) -> str | None:
    """Return the name of the AWS plugin's archive for a platform (this machine's by default); None if there is none."""
    platform = platform or pins.platform_name()
    # The CLI's archives say x64, a plugin's amd64.
    return platform and f"pulumi-resource-aws-v{version}-{platform.replace('x64', 'amd64')}.tar.gz"


def archives(plugin_version: str) -> Iterator[tuple[str, str]]:
    """Yield each archive that some platform installs, after the option that says where it is: `releases`, `plugins`."""
    for platform in pins.PLATFORMS:
        yield "releases", f"pulumi-v{pins.VERSION}-{platform}.tar.gz"
        yield "plugins", str(plugin_archive(plugin_version, platform))


def main(arguments: list[str] | None = None) -> int:
    """Write the file; 1 with a sentence, and the file as it was, where an archive cannot be had."""
    parser = argparse.ArgumentParser(prog="tools.bootstrap.checksums", description=__doc__)
    parser.add_argument("--releases", default=RELEASES, metavar="URL", help="where the CLI's archives are")
    parser.add_argument("--plugins", default=PLUGINS, metavar="URL", help="where the provider's archives are")
    options = parser.parse_args(arguments)
    lock = Path(__file__).resolve().parents[2] / "requirements" / "runtime.txt"
    version = re.search(r"^pulumi-aws==([\d.]+)", lock.read_text(encoding="utf-8"), re.MULTILINE)
    lines = []
    for kind, archive in archives(version[1] if version else ""):
        url = f"{getattr(options, kind).rstrip('/')}/{archive}"
        try:
            lines.append(f"{fetch(url, Path(os.devnull))}  {archive}\n")
        except (OSError, http.client.HTTPException) as error:
            say(STEP, f"{url} cannot be downloaded ({error}); nothing was written")
            return 1
        say(STEP, lines[-1].strip())
    files.write_whole(FILE, HEADING + "".join(lines))
    say(STEP, f"compare, then commit {os.path.relpath(FILE)}")
    return 0


def fetch(url: str, target: Path) -> str:
    """Download to a file; return its SHA-256. Raises OSError and HTTPException, also for what breaks off."""
    whole = hashlib.sha256()
    answer = urllib.request.urlopen(url, timeout=SILENCE_S)  # noqa: S310 - the vendor's, or named by the user
    with answer, target.open("wb") as file:
        while chunk := answer.read(1 << 20):
            whole.update(chunk)
            file.write(chunk)
        if answer.length:
            raise http.client.IncompleteRead(b"", answer.length)
    return whole.hexdigest()


if __name__ == "__main__":
    sys.exit(main())
