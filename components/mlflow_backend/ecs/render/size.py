"""The sizes of tasks that Fargate has. Pure."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Final

from mlflow_backend.server import abilities, memory_need_mib, parse_version

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mlflow_backend.settings import Settings

_GIB: Final = 1024


def _range(first: int, last: int, step: int) -> tuple[int, ...]:
    return tuple(range(first * _GIB, (last + 1) * _GIB, step * _GIB))


FARGATE_SIZES: Final[Mapping[int, tuple[int, ...]]] = {
    256: (512, 1024, 2048),
    512: _range(1, 4, 1),
    1024: _range(2, 8, 1),
    2048: _range(4, 16, 1),
    4096: _range(8, 30, 1),
    8192: _range(16, 60, 4),
    16384: _range(32, 120, 8),
}
"""CPU units -> MiB that go with them (Amazon ECS developer guide, 'Fargate task definition parameters')."""

# Above what was measured to be needed: uploads pass through memory, and the kernel kills without a warning.
_SPARE: Final = 1.25
# A start costs 11 CPU-seconds (docs/facts.md, B): on a quarter of a CPU that is most of a minute.
_LEAST_CPU: Final = 1024


def fargate_size(*, cpu: int | None, memory: int | None, need_mib: int) -> tuple[int, int]:
    """Return CPU units and MiB of a task: those asked for, or the smallest that hold `need_mib` with some to spare.

    Raises ValueError, with the pairs that there are, when Fargate has no such size.
    """
    least_cpu = _LEAST_CPU if cpu is None and memory is None else 0
    least_mib = round(need_mib * _SPARE)
    fitting = [
        (units, mib)
        for units, all_mib in FARGATE_SIZES.items()
        for mib in all_mib
        if (cpu in {None, units} and units >= least_cpu) and (mib >= least_mib if memory is None else mib == memory)
    ]
    if not fitting:
        raise ValueError(_no_such_size(cpu, least_mib if memory is None else memory))
    return min(fitting)


def server_size(settings: Settings) -> tuple[int, int]:
    """Return CPU units and MiB of a server's task. Raises ValueError when Fargate has no such size."""
    able = abilities(parse_version(settings.server.mlflow_version))
    need = memory_need_mib(able, workers=settings.server.workers, jobs=settings.server.jobs)
    return fargate_size(cpu=settings.server.cpu, memory=settings.server.memory, need_mib=need)


def _no_such_size(cpu: int | None, memory: int) -> str:
    if cpu is not None and cpu in FARGATE_SIZES:
        fitting = ", ".join(str(mib) for mib in FARGATE_SIZES[cpu])
        return f"Fargate has no task of {cpu} CPU units with {memory} MiB; with {cpu} go: {fitting}"
    if cpu is not None:
        return f"Fargate has no task of {cpu} CPU units; there are: {', '.join(map(str, FARGATE_SIZES))}"
    near = sorted(itertools.chain.from_iterable(FARGATE_SIZES.values()), key=lambda mib: abs(mib - memory))
    return f"Fargate has no task with {memory} MiB; the nearest is {near[0]}"
