"""The abilities of each MLflow version; nothing else compares a version.

Each threshold was read from the wheels of the release named and of the one before it (ADR 2
says how to check a new release).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, NamedTuple

_RELEASE = re.compile(r"(\d{1,4})\.(\d{1,4})\.(\d{1,4})", re.ASCII)


class MlflowVersion(NamedTuple):
    """A final MLflow release; compares by number."""

    major: int
    minor: int
    patch: int

    def __str__(self) -> str:
        """Return the version as the package index spells it."""
        return f"{self.major}.{self.minor}.{self.patch}"


OLDEST = MlflowVersion(2, 9, 0)

# 3.3.0 is the first wheel whose `mlflow server` has --uvicorn-opts and runs uvicorn by default.
UVICORN_SINCE = MlflowVersion(3, 3, 0)
# 3.2.0 is the first wheel with mlflow/telemetry and MLFLOW_DISABLE_TELEMETRY.
TELEMETRY_SINCE = MlflowVersion(3, 2, 0)
# 3.5.0: mlflow/server/security_utils.py appears, with --allowed-hosts and --cors-allowed-origins.
HOST_CHECK_SINCE = MlflowVersion(3, 5, 0)
# 3.5.0: MLFLOW_SERVER_ENABLE_JOB_EXECUTION appears (false by default; true by default since 3.9.0).
JOBS_SINCE = MlflowVersion(3, 5, 0)
# 3.16.0: MLFLOW_SERVER_JOB_HUEY_REDIS_URL; before it the queue is a SQLite file in /dev/shm.
JOBS_ON_REDIS_SINCE = MlflowVersion(3, 16, 0)
# 3.11.0: MLFLOW_GATEWAY_BUDGET_REDIS_URL; before it each process counts budgets for itself.
GATEWAY_BUDGETS_ON_REDIS_SINCE = MlflowVersion(3, 11, 0)
# 3.8.0: the registry's store gets an engine cache of its own; before it, threads that race for a worker's first
# request each open an engine (measured on 3.4.0, pool 3 + 2, 32 clients: 59 connections at once, 42 kept).
REGISTRY_ENGINE_CACHED_SINCE = MlflowVersion(3, 8, 0)
# anyio's default limit, which Starlette's WSGIMiddleware, and so MLflow's Flask part, runs under.
_UVICORN_THREADS = 40
# Ours to choose: with gunicorn's default sync workers one slow upload blocks a worker, health probe included.
_GUNICORN_THREADS = 8


def parse_version(text: str) -> MlflowVersion:
    """Return the version that `text` names.

    Raises ValueError when it is no final release, or older than 2.9.0.
    """
    match = _RELEASE.fullmatch(text)
    if match is None:
        raise ValueError("an MLflow version is three numbers joined by dots, such as 3.17.2")
    version = MlflowVersion(*map(int, match.groups()))
    if version < OLDEST:
        raise ValueError(f"the oldest MLflow version that can be deployed is {OLDEST}")
    return version


@dataclass(frozen=True, kw_only=True)
class Abilities:
    """What one MLflow version's server knows; `threads` is how many requests one worker serves at a time."""

    stack: Literal["gunicorn", "uvicorn"]
    threads: int
    host_check: bool
    telemetry: bool
    jobs: bool
    jobs_on_redis: bool
    gateway_budgets_on_redis: bool
    registry_engine_cached: bool


def abilities(version: MlflowVersion) -> Abilities:
    """Return the abilities of `version`; a version newer than the newest known one is taken to be like it."""
    uvicorn = version >= UVICORN_SINCE
    return Abilities(
        stack="uvicorn" if uvicorn else "gunicorn",
        threads=_UVICORN_THREADS if uvicorn else _GUNICORN_THREADS,
        host_check=version >= HOST_CHECK_SINCE,
        telemetry=version >= TELEMETRY_SINCE,
        jobs=version >= JOBS_SINCE,
        jobs_on_redis=version >= JOBS_ON_REDIS_SINCE,
        gateway_budgets_on_redis=version >= GATEWAY_BUDGETS_ON_REDIS_SINCE,
        registry_engine_cached=version >= REGISTRY_ENGINE_CACHED_SINCE,
    )
