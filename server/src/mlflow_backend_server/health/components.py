"""The components of this server, and how each is asked: nothing that a restricted role may not do.

Read-only but for a mark in Redis, which ends by itself.
"""

from __future__ import annotations

import importlib
import os
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from mlflow_backend_server.health.artifacts import usable
from mlflow_backend_server.health.database import ask
from mlflow_backend_server.health.keys import decrypted
from mlflow_backend_server.health.states import Away, Component
from mlflow_backend_server.health.tables import require
from mlflow_backend_server.settings import Access, Settings

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from mlflow_backend_server.access.sources import KeyRing
    from mlflow_backend_server.db.addresses import Address, Databases

_TIMEOUT_S = 1.0
_REDIS_MARK, _REDIS_MARK_S = "mlflow-backend:health", 60
_JOB_RUNNER = "mlflow.server.jobs"


def components(
    settings: Settings,
    databases: Databases,
    keys: KeyRing | None,
    *,
    tables: Mapping[str, tuple[str, ...]] = MappingProxyType({}),
    encrypts: bool = False,
) -> tuple[Component, ...]:
    """Return what `/health/components` reports, in this order.

    `tables` are those that each database must have; `encrypts` says that this MLflow keeps encrypted secrets.

    The stores' clients are imported and made here, before the first request: that takes longer than a probe waits.
    """
    # MLflow's job queue and what is counted over all servers are all that uses Redis.
    redis_used = settings.jobs or settings.requests_per_minute > 0 or settings.shares_guesses
    return (
        Component(name="server", ask=_server),
        Component(name="database", ask=lambda: _database(databases.tracking, tables.get("tracking", ()))),
        Component(name="redis", ask=_redis(settings.redis_url), used=bool(settings.redis_url) and redis_used),
        Component(name="artifacts", ask=usable(settings.artifacts), used=bool(settings.artifacts)),
        Component(name="jobs", ask=_jobs, used=settings.jobs),
        Component(
            name="auth",
            ask=_auth(settings, databases, keys, tables.get("auth", ())),
            used=settings.access is not Access.NONE,
        ),
        Component(name="keys", ask=decrypted(databases.tracking), used=encrypts),
    )


def _server() -> str:
    version = importlib.import_module("mlflow.version").VERSION
    return f"MLflow {version}, process {os.getpid()}."


def _database(address: Address, tables: tuple[str, ...]) -> str:
    version = ask(address, "SHOW server_version")[0].split()[0]
    require(address, tables)
    return f"Postgres {version} answers" + (f", with all {len(tables)} tables." if tables else ".")


def _redis(url: str) -> Callable[[], str]:
    redis: Any = importlib.import_module("redis") if url else None

    def question() -> str:
        client = redis.Redis.from_url(url, socket_timeout=_TIMEOUT_S, socket_connect_timeout=_TIMEOUT_S)
        try:
            # A write: one that is full, or a replica, answers a PING all the same.
            client.set(_REDIS_MARK, "1", ex=_REDIS_MARK_S)
        except redis.AuthenticationError:
            raise Away("Redis refuses the server's credentials.") from None
        except redis.TimeoutError:
            raise Away("Redis does not answer in time.") from None
        except redis.ConnectionError:
            raise Away("Redis cannot be reached.") from None
        except redis.ResponseError as error:
            raise Away(f"Redis takes no writes ({type(error).__name__}).") from None
        finally:
            client.close()
        return "Redis answers."

    return question


def job_runners() -> int:
    """Return how many of this server's process group run jobs: beside it another server's may."""
    group, count = os.getpgrp(), 0
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            command = (entry / "cmdline").read_text(errors="replace")
            # After the name in brackets, which may hold anything: state, parent, group.
            fields = (entry / "stat").read_text(errors="replace").rpartition(")")[2].split()
        except OSError:
            continue
        count += _JOB_RUNNER in command and fields[2] == str(group)
    return count


def _jobs() -> str:
    count = job_runners()
    if not count and Path("/proc/self").exists():
        raise Away("No job runner is alive beside this server.")
    return f"{count} job runner processes are alive."


def _auth(settings: Settings, databases: Databases, keys: KeyRing | None, tables: tuple[str, ...]) -> Callable[[], str]:
    def question() -> str:
        if settings.access is Access.TOKEN:
            count = len(keys.keys()) if keys else 0
            if not count:
                raise Away("There is no valid API key, or their secret could not be read for too long.")
            return f"{count} API keys are valid."
        if databases.auth is None:
            return "Basic auth keeps its users outside of Postgres."
        ask(databases.auth, "SELECT 1 FROM users LIMIT 1")
        require(databases.auth, tables)
        return "The users' database answers."

    return question
