"""The report of a backend's maintenance: what it found and removed, for people and for programs. Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping  # noqa: TC003 - `codec` reads the declared types
from dataclasses import asdict, dataclass
from datetime import datetime  # noqa: TC003 - as above
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

BY: Final = "scripts.maintain"
"""Who holds the lock meanwhile."""
ARTIFACTS: Final = "artifacts/"
DUMPS: Final = "dumps/"
"""What a name of something that is removed by name begins with."""
_SHOWN: Final = 10
_KEPT: Final = 20
_UNITS: Final = ("bytes", "KiB", "MiB", "GiB", "TiB")
_STEP: Final = 1024


@dataclass(frozen=True, kw_only=True)
class ExperimentSize:
    """Artifacts of one experiment: `name` is None for a folder of no experiment."""

    id: str
    name: str | None
    files: int
    bytes: int


@dataclass(frozen=True, kw_only=True)
class KeptDump:
    """A dump that a migration took."""

    name: str
    bytes: int
    taken_at: datetime


@dataclass(frozen=True, kw_only=True)
class Maintained:
    """What one maintenance did, or with `dry_run` would do.

    `removed` counts by kind, `kept` gives a reason by name, `databases` is of the database tool's report. `lost` are
    artifacts that no row names, by size. Temporary files are None if servers have none that outlive them.
    """

    dry_run: bool
    removed: Mapping[str, int]
    kept: Mapping[str, str]
    databases: Mapping[str, Any]
    temporary_files: int | None
    temporary_bytes: int
    experiments: tuple[ExperimentSize, ...]
    lost: Mapping[str, int]
    dumps: tuple[KeptDump, ...]
    kept_databases: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """Return it as JSON has it."""
        return asdict(self)

    def lines(self) -> Iterator[str]:
        """Give it line by line, the largest first."""
        done = "would be removed" if self.dry_run else "removed"
        yield f"{done} for good: {', '.join(f'{count} {kind}' for kind, count in self.removed.items())}"
        if self.temporary_files is not None:
            yield f"temporary files that nobody has open, {done}: {self.temporary_files} ({size(self.temporary_bytes)})"
        yield from (f"kept: {name}: {reason}" for name, reason in list(self.kept.items())[:_KEPT])
        if len(self.kept) > _KEPT:
            yield f"kept: {len(self.kept) - _KEPT} more (--json lists all)"
        for name, found in self.databases.items():
            before = "" if self.dry_run else f", {size(found['bytes_before'])} before"
            yield f"database {name}: {size(found['bytes'])}{before}"
            yield from (
                f"  table {each['name']}: {size(each['bytes'])}, about {each['rows']} rows, {each['dead_rows']} dead"
                for each in found["tables"]
            )
            yield from (
                f"  index {each['name']} of {each['table']}: {size(each['bytes'])}, used {each['scans']} times"
                for each in found["indexes"]
            )
        for each in self.experiments[:_SHOWN]:
            of = f"experiment {each.id} ({each.name})" if each.name else f"{each.id}, no experiment's"
            yield f"artifacts of {of}: {each.files} files, {size(each.bytes)}"
        if self.lost:
            yield f"artifacts of no run, model or trace: {len(self.lost)} files, {size(sum(self.lost.values()))}"
            largest = sorted(self.lost.items(), key=lambda item: -item[1])
            yield from (f"  {ARTIFACTS}{path}: {size(number)}" for path, number in largest[:_SHOWN])
        yield from (f"dump {DUMPS}{each.name}: {size(each.bytes)}, {each.taken_at:%F}" for each in self.dumps)
        if self.kept_databases:
            yield f"databases that restores replaced: {', '.join(self.kept_databases)} (`rollback --drop-kept`)"


def by_experiment(files: Mapping[str, int], names: Mapping[str, str]) -> tuple[ExperimentSize, ...]:
    """Return what each experiment's artifacts take, the largest first, by sizes of paths below the artifact root.

    `names` gives the names of experiments by the first folder of their artifacts.
    """
    sizes: dict[str, list[int]] = defaultdict(list)
    for path, number in files.items():
        sizes[path.split("/", 1)[0]].append(number)
    found = (
        ExperimentSize(id=folder, name=names.get(folder), files=len(each), bytes=sum(each))
        for folder, each in sizes.items()
    )
    return tuple(sorted(found, key=lambda each: (-each.bytes, each.id)))


def size(number: float) -> str:
    """Return a number of bytes as people read it."""
    for unit in _UNITS[:-1]:
        if number < _STEP:
            return f"{number:.0f} {unit}" if unit == _UNITS[0] else f"{number:.1f} {unit}"
        number /= _STEP
    return f"{number:.1f} {_UNITS[-1]}"
