"""The size of an instance: CPU, memory, and how much of the memory uploads are spooled in. Pure.

There is no disk on Cloud Run: every file that is written is memory of the instance ('Container runtime contract'), and
an instance that has no more of it is killed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from mlflow_backend.server import abilities, memory_need_mib, parse_version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.settings import Settings

_GIB: Final = 1024
_CPU_UNITS: Final = 1024
SIZES: Final[Mapping[int, tuple[int, int]]] = {
    1: (512, 4 * _GIB),
    2: (512, 8 * _GIB),
    4: (2 * _GIB, 16 * _GIB),
    6: (4 * _GIB, 24 * _GIB),
    8: (4 * _GIB, 32 * _GIB),
}
"""CPUs -> least and most memory in MiB that go with them ('Configure CPU limits' and 'Configure memory limits', Cloud
Run). Less than one CPU serves one request at a time, in the first generation, with CPU during requests only: no server
of MLflow."""
MOST_CPUS: Final = 8
"""Of an instance, all its containers together ('Quotas and limits')."""

FRONT_CPUS: Final = 1
FRONT_MIB: Final = 512
TEMPORARY_MIB: Final = 64
"""Of `/tmp`, for what is no artifact."""
_LEAST_SPOOL_MIB: Final = 256
# A start costs 11 CPU-seconds (docs/facts.md, B).
_CPUS: Final = 2
_MEMORY_MIB: Final = 2 * _GIB


@dataclass(frozen=True, kw_only=True)
class Size:
    """The server's container: `spool_mib` of its memory are for files, `artifact_mib` bounds one upload, 0 for none."""

    cpus: int
    memory_mib: int
    spool_mib: int
    artifact_mib: int


def server_size(settings: Settings) -> Size:
    """Return the size of the server's container. Raises ValueError for one that Cloud Run does not have.

    What is left of the memory is the spool, unless `server.temporaryMib` says how much; the largest artifact follows
    from it in the same way.
    """
    server = settings.server
    need = memory_need_mib(abilities(parse_version(server.mlflow_version)), workers=server.workers, jobs=server.jobs)
    cpus, memory = _cpus(server.cpu), server.memory or max(_MEMORY_MIB, need + TEMPORARY_MIB + 4 * _LEAST_SPOOL_MIB)
    least, most = SIZES[cpus]
    if not least <= memory <= most:
        raise ValueError(f"server.memory is {memory} MiB, and with {cpus} CPU go {least} to {most}")
    if cpus + FRONT_CPUS > MOST_CPUS:
        raise ValueError(
            f"server.cpu is {cpus} CPU, and with {FRONT_CPUS} of the front Cloud Run has {MOST_CPUS} at most"
        )
    room = memory - need - TEMPORARY_MIB
    spool = server.temporary_mib if "temporary_mib" in server.model_fields_set else room
    if spool > room:
        raise ValueError(
            f"server.temporaryMib is {spool}, files are memory, and of {memory} MiB the processes leave {max(room, 0)}"
        )
    if spool < _LEAST_SPOOL_MIB:
        raise ValueError(
            f"server.memory is {memory} MiB, which leaves {max(spool, 0)} for uploads; {_LEAST_SPOOL_MIB} are the least"
        )
    artifact = server.max_artifact_mib if "max_artifact_mib" in server.model_fields_set else spool
    if artifact > spool:
        raise ValueError(f"server.maxArtifactMib is {artifact}, and uploads are spooled in {spool} MiB of memory")
    return Size(cpus=cpus, memory_mib=memory, spool_mib=spool, artifact_mib=artifact)


def always_has_cpu(settings: Settings) -> bool:
    """Whether CPU is allocated between requests too, which Google bills for.

    Jobs run then, and so does the thread that reads API keys again: a revoked key would be accepted by the first
    request after a pause.
    """
    return settings.server.jobs or settings.access.mode == "token"


def _cpus(units: int | None) -> int:
    if units is None:
        return _CPUS
    cpus, rest = divmod(units, _CPU_UNITS)
    if rest or cpus not in SIZES:
        raise ValueError(
            f"server.cpu is {units} units, and Cloud Run has {', '.join(map(str, SIZES))} CPU of {_CPU_UNITS}"
        )
    return cpus
