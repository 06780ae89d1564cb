"""Orphans of a restored database and of the artifacts beside it. Pure.

Neither makes a backup damaged: a file is orphaned by a run that was removed for good, or logged while the backup was
taken, and a model's files by whoever deleted them from the store.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

PROXIED: Final = "mlflow-artifacts:/"
"""What MLflow's database calls the artifact root that its server serves."""


@dataclass(frozen=True, kw_only=True)
class NamedArtifacts:
    """A location that a row names. `expected` says that there must be a file; runs and traces may have none."""

    owner: str
    location: str
    expected: bool


def unnamed(files: Iterable[str], named: Iterable[NamedArtifacts], *, root: str) -> list[str]:
    """Return, of paths below the artifact root, those that no row names, in order."""
    locations = {path for each in named if (path := _below(each.location, root)) is not None}
    return sorted(path for path in files if locations.isdisjoint(_folders(path)))


def orphans(files: Mapping[str, int], named: Iterable[NamedArtifacts], *, root: str) -> tuple[str, ...]:
    """Return a sentence for the files that no row names, and one for each row whose files are not there.

    `files` gives sizes in bytes by path below the artifact root, whose own address is `root`. Locations outside it are
    not looked at.
    """
    rows = tuple(named)
    there = {folder for path in files for folder in _folders(path)}
    found = []
    if lost := unnamed(files, rows, root=root):
        total = sum(files[path] for path in lost)
        found.append(f"{len(lost)} artifacts of {total} bytes are of no run, model or trace; the first is {lost[0]}")
    found += [
        f"{each.owner} has no artifacts at {path}"
        for each in rows
        if each.expected and (path := _below(each.location, root)) is not None and path not in there
    ]
    return tuple(found)


def _below(location: str, root: str) -> str | None:
    """Return a location's path below the artifact root, None if it is elsewhere."""
    for prefix in (PROXIED, f"{root}/"):
        if location.startswith(prefix):
            return location.removeprefix(prefix).strip("/")
    return None


def _folders(path: str) -> list[str]:
    """Return a path and every folder that it is in."""
    parts = path.split("/")
    return ["/".join(parts[:length]) for length in range(1, len(parts) + 1)]
