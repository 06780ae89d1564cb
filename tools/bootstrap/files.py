"""Files and folders that appear whole or not at all, also when two set-ups run at once."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import json
import os
import shutil
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from tools.bootstrap.steps import say

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def digest(*parts: bytes) -> str:
    """A short name for exactly these contents, in this order."""
    whole = hashlib.sha256()
    for part in parts:
        # The length keeps ("ab", "c") apart from ("a", "bc").
        whole.update(len(part).to_bytes(8, "big"))
        whole.update(part)
    return whole.hexdigest()[:16]


@contextlib.contextmanager
def locked(path: Path, *, step: str) -> Iterator[None]:
    """Hold the lock file at `path`, waiting for another set-up that does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(step, f"waiting for another set-up that holds {path}")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@contextlib.contextmanager
def appearing(folder: Path) -> Iterator[Path]:
    """A scratch folder beside `folder` that takes its name when the block ends well, and vanishes when it does not.

    The caller holds a lock on `folder`, so what an interrupted set-up left behind can be removed here.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    for left_over in folder.parent.glob(f"{folder.name}.partial-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    scratch = folder.parent / tempfile.mkdtemp(prefix=f"{folder.name}.partial-", dir=folder.parent)
    try:
        yield scratch
        scratch.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        scratch.rename(folder)
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def write_whole(path: Path, text: str, *, mode: int = 0o644) -> None:
    """Replace the file at `path` in one step; it never exists with wider rights than `mode`."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    handle, scratch = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
    try:
        os.fchmod(handle, mode)
        with os.fdopen(handle, "wb") as file:
            # As paths are encoded: one in another alphabet is written whatever the locale says.
            file.write(os.fsencode(text))
        Path(scratch).replace(path)
    finally:
        Path(scratch).unlink(missing_ok=True)


def read_stamp(path: Path) -> Mapping[str, object]:
    """What the stamp at `path` says; empty when there is none, or when it cannot be read as one."""
    try:
        stamp = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return stamp if isinstance(stamp, dict) else {}


def write_stamp(path: Path, stamp: Mapping[str, object]) -> None:
    """Record that the step whose stamp this is was done."""
    write_whole(path, json.dumps(stamp, indent=2, sort_keys=True) + "\n")


def link_or_copy(source: Path, target: Path) -> None:
    """Put the file `source` at `target`: the same file if the file system allows, else a copy."""
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)
