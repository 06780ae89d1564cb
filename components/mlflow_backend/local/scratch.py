"""A local stack beside another one, for a drill: its own database, store and server in a folder that goes with it."""

from __future__ import annotations

import contextlib
import shutil
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.backup import bundle
from mlflow_backend.local import credentials, desired, encryption, environment, package, server, services
from mlflow_backend.local.state import StateDir, write
from mlflow_backend.local.supervisor import Supervisor
from mlflow_backend.settings.budget import accepted_connections

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from mlflow_backend.settings import Settings

FOLDER: Final = "drill"
_STOP_S = 30


@dataclass(frozen=True, kw_only=True)
class Scratch:
    """A stack whose services run and that serves nothing yet; `ports` are those of its services by name."""

    state: StateDir
    settings: Settings
    ports: Mapping[str, int]

    def serve(self) -> str:
        """Serve what the settings describe on the stack's databases, and return the revision.

        Raises PlatformFailed if the server does not get ready.
        """
        version = self.settings.server.mlflow_version
        environment.install(version)
        package.install()
        described = desired.server(
            self.settings,
            self.state,
            ports=self.ports,
            versions=credentials.versions(self.state),
            lock=environment.locate(version).lock,
            package=package.locate().digest,
        )
        # Nobody is served before it, so that it is not verified as a candidate.
        return str(server.deploy(self.state, described, {})["revision"])


@contextlib.contextmanager
def scratch_stack(
    beside: StateDir, settings: Settings, secrets: Mapping[str, str], *, postgres_major: int | None = None
) -> Iterator[Scratch]:
    """Give a new stack with these secrets, and remove it; what a killed drill left is removed first.

    It runs Postgres of the main major, if none is named. Raises PlatformFailed if a service does not start.
    """
    state = StateDir(beside.path / FOLDER)
    remove(state)
    wanted: dict[str, dict[str, Any]] = {
        "database": {"maxConnections": accepted_connections(settings)},
        "cache": {},
        "store": {},
        "front": {},
    }
    try:
        if postgres_major is not None:
            write(state.postgres_major, str(postgres_major))
        for name, text in secrets.items():
            if name == bundle.FILE:
                encryption.replace(state, text)
            else:
                write(state.credentials / name, text)
        credentials.ensure(state)
        Supervisor(state).start()
        ports = {name: services.apply(state, name, properties)["listens"] for name, properties in wanted.items()}
        yield Scratch(state=state, settings=settings, ports=ports)
    finally:
        remove(state)


def remove(state: StateDir) -> None:
    """End every process of the stack, and delete its folder."""
    if state.path.exists():
        Supervisor(state).shutdown(timeout_s=_STOP_S)
        shutil.rmtree(state.path, ignore_errors=True)
