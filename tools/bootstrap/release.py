"""The vendor's release archive of the Pulumi CLI, compared with the committed checksum, or with the vendor's own.

Without a committed one (tools/bootstrap/checksums.py) the archive is not taken if `CI` is `true`. A vendor that cannot
be reached is no error, because the CLI can be built instead. Bytes that differ from their checksum end the set-up:
they mean a broken mirror or worse, and another source would hide it.
"""

from __future__ import annotations

import queue
import tarfile
import threading
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from tools.bootstrap import checksums, download, files, pins
from tools.bootstrap.steps import StepFailedError, UnavailableError, say

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

BASE_URL_VARIABLE = "MLFLOW_BACKEND_PULUMI_RELEASES"
"""Names a mirror that serves the archive and the checksums file under the vendor's names."""

ANSWER_S = 8.0
"""Seconds in all until the checksums are here, or the vendor counts as not reachable.

A name that is not resolved and each of a host's addresses that does not answer have a time limit of their own, which
would add up to minutes behind a firewall that drops packets.
"""

STEP = "pulumi"


def ensure(cache: Path, platform: str | None, environment: Mapping[str, str]) -> Path:
    """The folder with the unpacked CLI of the pinned version, downloaded once a machine.

    Raises:
        UnavailableError: there is no archive for this platform, or the vendor is not reachable.
        StepFailedError: the archive is not what its checksum says, or the vendor publishes no checksum for it.
    """
    if platform is None:
        message = "the vendor has no archive for this platform"
        raise UnavailableError(message)
    folder = cache / "pulumi" / f"{pins.VERSION}-release-{platform}"
    if folder.exists():
        return folder
    archive = checksums.cli_archive(platform)
    pinned = checksums.committed(archive)
    if pinned is None:
        message = f"no checksum of {archive} is committed (python -m tools.bootstrap.checksums)"
        if checksums.required(environment):
            raise UnavailableError(message)
        say(STEP, f"{message}: it is compared with the one that the vendor publishes beside it")
    base = environment.get(BASE_URL_VARIABLE, checksums.RELEASES).rstrip("/")
    with files.locked(folder.with_name(f"{folder.name}.lock"), step=STEP):
        if not folder.exists():
            with files.appearing(folder) as scratch:
                _fetch(base, archive, pinned, scratch)
    return folder


def _fetch(base: str, archive: str, pinned: str | None, scratch: Path) -> None:
    checksums_url = f"{base}/pulumi-{pins.VERSION}-checksums.txt"
    # Also if one is committed, because it shows within seconds whether the vendor can be reached.
    published = checksums.listed(_published(checksums_url), archive)
    if published is None:
        raise StepFailedError(
            what="checking the Pulumi archive",
            why=f"{checksums_url} has no SHA-256 for {archive}",
            fix="nothing was installed; install pulumi on PATH by the vendor's instructions, or try again",
        )
    say(STEP, f"downloading {archive}")
    packed = scratch / archive
    found = download.fetch(f"{base}/{archive}", packed, step=STEP)
    if found != (pinned or published):
        raise StepFailedError(
            what="checking the Pulumi archive",
            why=f"{base}/{archive} has SHA-256 {found}, "
            f"{f'committed is {pinned}' if pinned else f'published is {published}'}",
            fix="nothing was installed; do not use this archive, and find out what stands between you and the vendor",
        )
    _unpack(packed, scratch)
    packed.unlink()


def _published(url: str) -> str:
    """The vendor's checksums file, within `ANSWER_S`, whatever the network does. Raises UnavailableError."""
    outcome: queue.Queue[bytes | UnavailableError] = queue.Queue()

    def fetch() -> None:
        try:
            # The file has a line for each of a dozen archives; what does not fit into the first piece is none.
            outcome.put(next(download.chunks(url), b""))
        except UnavailableError as error:
            outcome.put(error)

    # A daemon: looking up a name cannot be broken off, and must not hold the set-up's end.
    threading.Thread(target=fetch, daemon=True).start()
    try:
        fetched = outcome.get(timeout=ANSWER_S)
    except queue.Empty:
        message = f"{url} did not answer within {ANSWER_S:.0f} s"
        raise UnavailableError(message) from None
    if isinstance(fetched, UnavailableError):
        raise fetched
    return fetched.decode(errors="replace")


def _unpack(packed: Path, folder: Path) -> None:
    """Lay the archive's programs flat into `folder`; they stand in one folder named `pulumi`, or `pulumi/bin`."""
    with tarfile.open(packed) as archive:
        for member in archive.getmembers():
            source = archive.extractfile(member) if member.isfile() else None
            if source is None:
                continue
            target = folder / PurePosixPath(member.name).name
            with source, target.open("wb") as file:
                while chunk := source.read(download.CHUNK):
                    file.write(chunk)
            target.chmod(0o755 if member.mode & 0o111 else 0o644)
    if not (folder / "pulumi").exists():
        raise StepFailedError(
            what="unpacking the Pulumi archive",
            why=f"{packed.name} holds no program named pulumi",
            fix="install pulumi on PATH by the vendor's instructions",
        )
