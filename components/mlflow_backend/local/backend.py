"""The `local` target as one component: it wires its parts in the order in which they need each other.

Owns the order and what each part is asked for. What the parts do is in their own modules.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pulumi

from mlflow_backend.backend import Backend, Serving
from mlflow_backend.codec import to_document
from mlflow_backend.local import credentials, desired, environment, holding, naming, package, render
from mlflow_backend.local.locator import LocalLocator
from mlflow_backend.local.provider import Credentials, Environment, Server, Service, SupervisorDaemon
from mlflow_backend.local.refusals import refuse_unsupported
from mlflow_backend.local.state import StateDir
from mlflow_backend.migrate.provider import Migration, MigrationArgs
from mlflow_backend.server import keys
from mlflow_backend.settings import Settings, refuse_broken
from mlflow_backend.settings.budget import accepted_connections
from mlflow_backend.tokens import LOCAL_BACKEND

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow_backend.local.holding import Served


@dataclass(frozen=True, kw_only=True)
class LocalBackendArgs:
    """What a backend on this machine is made from.

    `folder` is the absolute path of what holds everything that the backend owns: data, credentials, logs. Commands find
    the backend by it.
    """

    folder: Path
    settings: Settings = field(default_factory=lambda: Settings(target="local"))


class LocalBackend(Backend):
    """An MLflow backend as supervised processes on this machine's loopback."""

    credentials: Credentials
    supervisor: SupervisorDaemon
    database: Service
    cache: Service
    store: Service
    front: Service
    environment: Environment
    migration: Migration
    server: Server

    def __init__(self, name: str, args: LocalBackendArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the backend.

        Raises SettingsError for settings that break a rule, Refused for one that only other targets can fulfil,
        PlatformFailed for an MLflow version without a lock.
        """
        refuse_broken(args.settings)
        refuse_unsupported(args.settings)
        super().__init__(LOCAL_BACKEND, name, settings=args.settings, opts=opts)
        self._state = StateDir(args.folder)
        self._folder = str(args.folder)
        self._locator = LocalLocator.of(self._state)
        self._lock = environment.locate(args.settings.server.mlflow_version).lock
        self._add_services()
        self._served = self._what_is_served()
        self._add_server()
        self._login = self._served.apply(lambda found: credentials.references(self._state, found.access))
        self._end_update(self._serving(), after=[self.server])
        self._give_outputs(artifact_root=naming.ARTIFACT_ROOT, login=self._login)

    def _add_services(self) -> None:
        self.credentials = Credentials(f"{self._name}-credentials", state=self._folder, opts=self._after())
        self.supervisor = SupervisorDaemon(
            f"{self._name}-supervisor", state=self._folder, opts=self._after(self.credentials)
        )
        versions = self.credentials.versions
        self.database = self._service(
            "database",
            maxConnections=accepted_connections(self._settings),
            passwordVersion=versions[credentials.DATABASE],
            administratorVersion=versions[credentials.DATABASE_ADMIN],
        )
        self.cache = self._service("cache", passwordVersion=versions[credentials.CACHE])
        self.store = self._service("store", acceptedKeysVersion=versions[credentials.STORE_ACCEPTED])
        self.front = self._service("front", port=self._settings.server.port)

    def _service(self, part: str, **properties: Any) -> Service:
        return Service(
            f"{self._name}-{part}",
            state=self._folder,
            service=part,
            desired=properties,
            opts=self._after(self.supervisor),
        )

    @property
    def _services(self) -> dict[str, Service]:
        return {"database": self.database, "cache": self.cache, "store": self.store, "front": self.front}

    def _what_is_served(self) -> pulumi.Output[Served]:
        """Return what is served: what the settings describe, unless the ledger holds the stack to another revision."""
        state, settings = self._state, self._settings
        ledger_state = holding.ledger_state(state, requested=settings.release.pin)

        def serve(found: list[Any]) -> Served:
            # Pulumi gives whole numbers back as floats.
            ports = {part: int(port) for part, port in found[0].items()}
            server = desired.server(
                settings, state, ports=ports, versions=found[1], lock=self._lock, package=package.locate().digest
            )
            served = holding.served(state, ledger_state, server)
            if served.withheld:
                pulumi.log.warn(f"The release of the settings is withheld: {served.withheld}.", self)
            if pending := holding.announcement(state, served.mlflow_version):
                pulumi.log.warn(pending, self)
            return served

        listens = {part: service.listens for part, service in self._services.items()}
        return pulumi.Output.all(listens, self.credentials.versions).apply(serve)

    def _add_server(self) -> None:
        version = self._served.apply(lambda found: found.mlflow_version)
        self.environment = Environment(
            f"{self._name}-environment",
            state=self._folder,
            mlflow_version=self._settings.server.mlflow_version,
            lock=self._lock,
            package=package.locate().digest,
            opts=self._after(),
        )
        self.migration = Migration(
            f"{self._name}-migration",
            MigrationArgs(
                locator=self._locator,
                mlflow_version=version,
                database=self.database.identity,
                on_failure=self._settings.migrate.on_failure,
            ),
            opts=self._after(self.environment, self.database),
        )
        self.server = Server(
            f"{self._name}-server",
            state=self._folder,
            desired=self._served.apply(lambda found: to_document(found.desired) if found.desired else {}),
            pinned=self._served.apply(lambda found: found.revision),
            verification={
                "profile": self._settings.verify.profile,
                "deadline": self._settings.verify.deadline,
                "extraChecks": self._extra_checks,
            },
            opts=self._after(self.environment, self.migration, *self._services.values()),
        )

    def _serving(self) -> Serving:
        served = self._served
        release = pulumi.Output.all(self.server.revision, served, self.migration.head).apply(_release)
        # The keys that are valid are part of it: servers read them by themselves, so that they are in no revision.
        parts = {
            "services": {part: service.identity for part, service in self._services.items()},
            "server": served.apply(lambda found: found.desired.identity if found.desired else found.revision),
            "release": release,
            "keys": self.credentials.versions.apply(lambda versions: versions[credentials.API_KEYS]),
        }
        return Serving(
            url=self.front.listens.apply(
                lambda port: naming.tracking_url(int(port), self._settings.network.path_prefix)
            ),
            release=release,
            revision=self.server.revision,
            locator=self._locator,
            mlflow_version=served.apply(lambda found: found.mlflow_version),
            credentials=self._login,
            access=served.apply(lambda found: found.access != "none"),
            digest=pulumi.Output.from_input(parts).apply(render.digest),
            keys=served.apply(_keys_version),
            withheld=served.apply(lambda found: found.withheld),
            pinned=served.apply(lambda found: found.manual),
            report=str(self._state.report),
        )


def _keys_version(served: Served) -> str:
    """Return the version of the keys that the servers have; empty for a revision that the stack is held to."""
    versions = served.desired.secret_versions if served.desired else {}
    return " ".join(str(versions[name]) for name in keys.IN_FORCE if name in versions)


def _release(found: list[Any]) -> dict[str, Any]:
    revision, served, head = found
    return {
        "revision": revision,
        "mlflowVersion": served.mlflow_version,
        "environmentLock": served.environment_lock,
        "schemaHead": head,
    }
