"""The Pulumi CLI of this project: where it comes from, and what stands beside it in `.tools/bin`.

In this order: a `pulumi` on PATH that serves the SDK and has a Python language host beside it; the vendor's release
archive; a build from the Go module, with a language host of this repository (tools/offline).
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from tools.bootstrap import checksums, files, pins, release
from tools.bootstrap.commands import CommandError, run
from tools.bootstrap.steps import UnavailableError, say
from tools.offline import source_build

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tools.bootstrap.layout import Layout

STAMP = "mlflow-backend.json"
"""Stands in `.tools/bin` and says what was put there. Its folder is no source for another clone: see `on_path`."""

LANGUAGE_HOST = "pulumi-language-python"
STEP = "pulumi"


@dataclass(frozen=True, kw_only=True)
class Source:
    """A CLI that was found."""

    kind: str
    """path, release or build."""
    folder: Path
    """Holds the program `pulumi`, and everything that has to stand beside it but a language host for a build."""


def ensure(layout: Layout, environment: Mapping[str, str]) -> None:
    """Make `.tools/bin` hold a CLI of the supported range; does nothing when it does already.

    Raises:
        StepFailedError: no source gave one.
    """
    if satisfied(layout):
        return
    source = find(layout, environment)
    with files.appearing(layout.bin) as scratch:
        _assemble(source, scratch, layout)
        stamp = {"kind": source.kind, "pins": _pins(layout), "from": str(source.folder), "sizes": _sizes(scratch)}
        files.write_stamp(scratch / STAMP, stamp)
    say(STEP, f"{layout.bin.relative_to(layout.root)}/pulumi is ready ({source.kind}: {source.folder})")


def satisfied(layout: Layout) -> bool:
    """Whether `.tools/bin` holds the pinned CLI, complete."""
    stamp = files.read_stamp(layout.bin / STAMP)
    try:
        return stamp.get("pins") == _pins(layout) and stamp.get("sizes") == _sizes(layout.bin)
    except OSError:
        return False


def find(layout: Layout, environment: Mapping[str, str]) -> Source:
    """The first source that has a CLI. What a machine of nobody's happens to have on PATH is none.

    Raises:
        StepFailedError: none has.
    """
    found = None if checksums.required(environment) else on_path(layout, environment)
    if found is not None:
        return Source(kind="path", folder=found)
    try:
        folder = release.ensure(layout.cache, pins.platform_name(), environment)
        return Source(kind="release", folder=folder)
    except UnavailableError as unavailable:
        say(STEP, f"{unavailable}; building it instead")
    return Source(kind="build", folder=source_build.ensure(layout.cache, layout.go_module, environment))


def on_path(layout: Layout, environment: Mapping[str, str]) -> Path | None:
    """The folder of the first CLI on PATH that serves; each that does not is named with the reason."""
    for candidate in _candidates(environment):
        folder = candidate.resolve().parent
        # A clone's own .tools/bin, this one's or another's, is on PATH in an activated shell. It is never a source:
        # its language host belongs to that clone, and it goes away with it.
        if (candidate.parent / STAMP).exists():
            continue
        try:
            quiet = {**environment, "PULUMI_HOME": str(layout.pulumi_home), "PULUMI_SKIP_UPDATE_CHECK": "true"}
            version = run((str(candidate), "version"), deadline_s=20, environment=quiet).strip()
        except CommandError as error:
            say(STEP, f"not using {candidate}: {error}")
            continue
        if not pins.supported(version):
            say(STEP, f"not using {candidate}: it is {version}, supported is {pins.SDK} up to the next major version")
        elif not (folder / LANGUAGE_HOST).exists():
            say(STEP, f"not using {candidate}: there is no {LANGUAGE_HOST} beside it")
        else:
            return folder
    return None


def _candidates(environment: Mapping[str, str]) -> Iterator[Path]:
    for folder in environment.get("PATH", "").split(os.pathsep):
        candidate = Path(folder or ".", "pulumi")
        # A folder of another user's, as `su` and `sudo` leave on PATH, cannot be looked into.
        with contextlib.suppress(OSError):
            if candidate.is_file() and os.access(candidate, os.X_OK) and candidate.resolve(strict=True):
                yield candidate


def _assemble(source: Source, scratch: Path, layout: Layout) -> None:
    if source.kind == "path":
        # A link, so that an upgrade by the user's package manager is followed. The engine finds the language host
        # through it, in the folder of the real program.
        (scratch / "pulumi").symlink_to(source.folder / "pulumi")
        return
    for program in source.folder.iterdir():
        files.link_or_copy(program, scratch / program.name)
    if source.kind == "build":
        files.write_whole(scratch / LANGUAGE_HOST, source_build.launcher(layout, layout.bin), mode=0o755)


def _sizes(folder: Path) -> dict[str, int]:
    """Return the sizes of the programs, by which one that was cut short is found."""
    return {program.name: program.stat().st_size for program in folder.iterdir() if program.name != STAMP}


def _pins(layout: Layout) -> str:
    # The launcher names absolute paths, so a tree that was moved needs it written anew.
    parts = (pins.SDK, source_build.cache_key(layout.go_module), source_build.launcher(layout, layout.bin))
    return files.digest(*(part.encode() for part in parts))
