"""The life of a local stack's supervised services, whichever they are: how one is started, and looked at."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.local import credentials, ports, processes, render
from mlflow_backend.local.cache import Cache
from mlflow_backend.local.database import Database
from mlflow_backend.local.front import Front
from mlflow_backend.local.store import Store
from mlflow_backend.local.supervisor import Supervisor
from mlflow_backend.pace import wait_until

if TYPE_CHECKING:
    from mlflow_backend.local.service import Service
    from mlflow_backend.local.state import StateDir

RUNNING = "running"
_START_TIMEOUT_S = 30.0
# Postgres was back 2 s after kill -9 on an idle machine (docs/facts.md).
_RECOVERY_S = 10.0
_POLL_S = 0.1


def service(state: StateDir, name: str, port: int, desired: dict[str, Any]) -> Service:
    """Return the service of that name, as the resource's properties ask for it."""
    if name == Database.name:
        return Database(state, port, max_connections=int(desired["maxConnections"]))
    simple: dict[str, type[Service]] = {kind.name: kind for kind in (Cache, Store, Front)}
    return simple[name](state, port)


def apply(state: StateDir, name: str, desired: dict[str, Any]) -> dict[str, Any]:
    """Make the service run as desired; return its port and the identity of what runs.

    Raises PlatformFailed, before anything is changed, if another program has the port; or if it is not ready in time.
    """
    port = _wanted_port(desired) or ports.choose(state, name)
    _refuse_foreign_port(state, name, port)
    # Kept only now: a refused one would otherwise be the stack's own after it is taken out of the settings.
    ports.choose(state, name, wanted=port)
    wanted = service(state, name, port, desired)
    supervisor = Supervisor(state)
    if wanted.outdated():
        supervisor.remove(name)
    wanted.prepare()
    supervisor.apply(wanted.program())
    supervisor.wait(name, lambda: wanted.answers() or wanted.refuses_administrator(), timeout_s=_START_TIMEOUT_S)
    if wanted.refuses_administrator():
        supervisor.remove(name)
        wanted.set_administrator()
        supervisor.apply(wanted.program())
        supervisor.wait(name, wanted.answers, timeout_s=_START_TIMEOUT_S)
    wanted.settle()
    return {"listens": port, "identity": identity(state, wanted), "condition": RUNNING}


def condition(state: StateDir, name: str, desired: dict[str, Any]) -> str:
    """Return `running`, or in a few words what is wrong with the service."""
    port = ports.known(state).get(name)
    if port is None:
        return "never started"
    wanted = service(state, name, port, desired)
    found = Supervisor(state).condition(wanted.program())
    if found != RUNNING:
        return found
    # One that crashed and is recovering is no drift.
    if not wait_until(wanted.answers, timeout_s=_RECOVERY_S, poll_s=_POLL_S):
        return "running, but it does not answer"
    return wanted.complaint() or RUNNING


def identity(state: StateDir, wanted: Service) -> str:
    """Return what changes when the service's program, port or secrets change."""
    role = credentials.versions(state)[credentials.DATABASE] if wanted.name == Database.name else ""
    return render.digest({"program": wanted.program().digest(), "role": role})


def _wanted_port(desired: dict[str, Any]) -> int | None:
    port = desired.get("port")
    return None if port is None else int(port)


def _refuse_foreign_port(state: StateDir, name: str, port: int) -> None:
    """Raise PlatformFailed if another program has the port."""
    if ports.is_free(port) or processes.listens(processes.marked(str(state.path), name), port):
        return
    others = f"delete {state.path / 'ports.json'} while the backend is down"
    choice = "set mlflow-backend:server.port to a free one" if name == Front.name else others
    finding = f"port {port} on 127.0.0.1 is already taken by another program"
    raise PlatformFailed(finding, code="port-of-another-program", fix=f"End that program, or {choice}", part=name)
