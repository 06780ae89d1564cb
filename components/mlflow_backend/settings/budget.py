"""The budget of database connections: how many a backend can open at its worst, and how many are accepted.

Counted from MLflow's source and on the high side: a refused update is fixed in a minute, while an exhausted database
takes every client down.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from mlflow_backend import targets
from mlflow_backend.server import abilities, parse_version
from mlflow_backend.settings.instance_class import most_connections

if TYPE_CHECKING:
    from mlflow_backend.settings.models import Settings

# A server process opens one engine for tracking and one for the registry, also when both have the same URI: each store
# class has an engine of its own (mlflow/store/tracking/sqlalchemy_store.py, model_registry/sqlalchemy_store.py).
_STORES = 2
# Basic auth opens a third, on its own database of the same instance (mlflow/server/auth/sqlalchemy_store.py).
_AUTH_STORES = 1
# With jobs on each worker also has a job store (mlflow/store/jobs/sqlalchemy_store.py).
_JOB_STORES = 1
# What the plugin asks in each worker, on connections of its own: readiness, and the state of each database
# (server/src/mlflow_backend_server/health); one that hangs keeps its connection.
_HEALTH_CONNECTIONS = 1
# Before it starts the workers, the parent process opens both stores to check the schema, and keeps them: 3 or 4
# connections were measured on 2.9.2 to 3.17.2.
_PARENT_CONNECTIONS = 4
# An engine that lost the race for a worker's first request holds what its one request needed (versions.py).
_RACED_CONNECTIONS = 2
# Jobs on: the job runner, six consumers and the one of periodic tasks (seen on 3.17.2), each with at most 10 worker
# threads (max_workers of its jobs) on one engine.
_JOB_PROCESSES = 8
_JOB_THREADS = 10
# An update starts the new revision before it stops the old one.
_REVISIONS_AT_ONCE = 2
_MIGRATION_CONNECTIONS = 2
# Postgres keeps `superuser_reserved_connections` = 3 back by default.
_RESERVED = 3
# What `database.maxConnections` is if it is left out and nothing bounds it: enough for one replica with jobs.
_DEFAULT_CONNECTIONS = 300


@dataclass(frozen=True, kw_only=True)
class ConnectionBudget:
    """The worst case, in connections: of one replica, of the whole, and how it comes about."""

    of_a_replica: int
    needed: int
    available: int
    arithmetic: str

    @property
    def fits(self) -> bool:
        """Whether the database accepts them all."""
        return self.needed <= self.available


def most_replicas(settings: Settings) -> int:
    """Return how many replicas may serve at a time, apart from an update's doubling."""
    return max(settings.server.replicas, settings.scaling.max_replicas or 1)


def accepted_connections(settings: Settings) -> int:
    """Return how many connections the database accepts: as set, or what it is created with."""
    if settings.database.max_connections is not None:
        return settings.database.max_connections
    on_rds = settings.database.mode == "create" and "aws" in targets.get(settings.target).platforms
    most = most_connections(settings.aws.database.instance_class) if on_rds else None
    return _DEFAULT_CONNECTIONS if most is None else min(most, _DEFAULT_CONNECTIONS)


def connection_budget(settings: Settings) -> ConnectionBudget:
    """Return the connection budget of `settings`."""
    replica, parts = _replica(settings)
    monitoring = settings.monitoring.database_connections
    needed = _REVISIONS_AT_ONCE * most_replicas(settings) * replica + _MIGRATION_CONNECTIONS + monitoring + _RESERVED
    arithmetic = (
        f"{_REVISIONS_AT_ONCE} revisions during an update x {most_replicas(settings)} replica(s) x {replica} ({parts}) "
        f"+ {_MIGRATION_CONNECTIONS} for migration + {monitoring} for monitoring + {_RESERVED} reserved = {needed}"
    )
    available = accepted_connections(settings)
    return ConnectionBudget(of_a_replica=replica, needed=needed, available=available, arithmetic=arithmetic)


def _replica(settings: Settings) -> tuple[int, str]:
    """Return what one replica may open, and the sum in words."""
    database, server = settings.database, settings.server
    able = abilities(parse_version(server.mlflow_version))
    pool = database.pool_size + database.max_overflow
    engines = _STORES
    users = _AUTH_STORES if settings.access.mode == "basic" else 0
    engines += users
    engines += _JOB_STORES if server.jobs else 0
    health = _HEALTH_CONNECTIONS + 1 + users
    raced = 0 if able.registry_engine_cached else able.threads * _RACED_CONNECTIONS
    jobs = _JOB_PROCESSES * min(pool, _JOB_THREADS) if server.jobs else 0
    pools = f"{engines} engines x {pool} by poolSize {database.pool_size} and maxOverflow {database.max_overflow}"
    worker = f"{pools} + {raced} of first requests" if raced else pools
    worker += f" + {health} of its health"
    terms = [f"{server.workers} worker(s) x ({worker})", f"{_PARENT_CONNECTIONS} of the parent process"]
    if jobs:
        terms.append(f"{jobs} of the job processes")
    return server.workers * (engines * pool + raced + health) + _PARENT_CONNECTIONS + jobs, " + ".join(terms)
