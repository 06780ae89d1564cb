"""The `local` target as one component: it wires its parts in the order in which they need each other.

Owns the order and what each part is asked for. What the parts do is in their own modules.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import pulumi

from mlflow_backend.backend import Backend, Serving
from mlflow_backend.codec import to_document
from mlflow_backend.local import credentials, desired, environment, naming, package, revisions, timed
from mlflow_backend.local.locator import LocalLocator
from mlflow_backend.local.provider import Credentials, Environment, Server, Service, SupervisorDaemon, Timer
from mlflow_backend.local.refusals import refuse_unsupported, refuse_without_project
from mlflow_backend.local.state import StateDir
from mlflow_backend.migrate.forecast import announcement
from mlflow_backend.releases import pins
from mlflow_backend.releases.stores import FileStore
from mlflow_backend.server import keys
from mlflow_backend.settings import Settings, refuse_broken
from mlflow_backend.settings.budget import accepted_connections
from mlflow_backend.tokens import LOCAL_BACKEND

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from mlflow_backend.local.desired import DesiredServer
    from mlflow_backend.local.timed import Work
    from mlflow_backend.releases.pins import PinnedRelease
    from mlflow_backend.target import Described


@dataclass(frozen=True, kw_only=True)
class LocalBackendArgs:
    """What a backend on this machine is made from.

    `folder` is the absolute path of what holds everything that the backend owns: data, credentials, logs. Commands find
    the backend by it. `project` is the folder of the stack's file, which backups hold.
    """

    folder: Path
    project: Path | None = None
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
    server: Server

    def __init__(self, name: str, args: LocalBackendArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the backend.

        Raises SettingsError for settings that break a rule, Refused for one that only other targets can fulfil,
        PlatformFailed for an MLflow version without a lock.
        """
        refuse_broken(args.settings)
        refuse_unsupported(args.settings)
        works = timed.works(args.settings, stack=args.folder.name)
        refuse_without_project(works, args.project)
        super().__init__(LOCAL_BACKEND, name, settings=args.settings, opts=opts)
        self._state = StateDir(args.folder)
        self._folder = str(args.folder)
        self._locator = LocalLocator.of(self._state)
        self._lock = environment.locate(args.settings.server.mlflow_version).lock
        self._add_services()
        self._desired = self._desired_server()
        self._serve_pinned(self._pinned_release())
        self._mlflow_version.apply(self._announce)
        self._add_server()
        self._add_timer(works, args.project)
        self._access = pulumi.Output.all(self.pinned, self._desired).apply(_access)
        self._login = self._access.apply(lambda mode: credentials.references(self._state, mode))
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

    def _desired_server(self) -> pulumi.Output[DesiredServer]:
        def describe(found: list[Any]) -> DesiredServer:
            # Pulumi gives whole numbers back as floats.
            ports = {part: int(port) for part, port in found[0].items()}
            return desired.server(
                self._settings,
                self._state,
                ports=ports,
                versions=found[1],
                lock=self._lock,
                package=package.locate().digest,
            )

        listens = {part: service.listens for part, service in self._services.items()}
        return pulumi.Output.all(listens, self.credentials.versions).apply(describe)

    def _pinned_release(self) -> pulumi.Output[PinnedRelease | None]:
        store = FileStore(self._state.backend_store)
        state = pins.ledger_state(store, requested=self._settings.release.pin)
        return self._desired.apply(
            lambda found: pins.pinned_release(state, identity=found.identity, describe=self._describe)
        )

    def _describe(self, revision: str) -> Described:
        from mlflow_backend.local.platform import LocalPlatform  # noqa: PLC0415 - for a pinned stack alone

        return LocalPlatform(self._state).describe(revision)

    def _announce(self, version: str) -> None:
        """Say in a preview what a migration will do: `check` sees no version that is not known yet.

        Asked only if another version than the active one is to be served: an update without changes does not pay.
        """
        active = revisions.active(self._state)
        if active is None or active.mlflow_version == version:
            return
        from mlflow_backend.migrate import resource  # noqa: PLC0415 - only before a migration

        inputs = {"locator": self._locator.document(), "mlflowVersion": version}
        checked = resource.check(inputs, served=active.mlflow_version)
        if pending := announcement(checked.inputs.get("plan", {})):
            pulumi.log.warn(pending, self)

    def _add_server(self) -> None:
        self.environment = Environment(
            f"{self._name}-environment",
            state=self._folder,
            mlflow_version=self._settings.server.mlflow_version,
            lock=self._lock,
            package=package.locate().digest,
            opts=self._after(),
        )
        self.add_migration(self._locator, database=self.database.identity, after=[self.environment, self.database])
        self.server = Server(
            f"{self._name}-server",
            state=self._folder,
            desired=pulumi.Output.all(self.pinned, self._desired).apply(
                lambda found: {} if found[0] else to_document(found[1])
            ),
            pinned=self.pinned.apply(lambda pin: pin.release.revision if pin else ""),
            verification=self.candidate_checks,
            opts=self._after(self.environment, self.migration, *self._services.values()),
        )

    def _add_timer(self, works: Sequence[Work], project: Path | None) -> None:
        if works:
            Timer(
                f"{self._name}-timer",
                state=self._folder,
                project=str(project),
                works=[to_document(work) for work in works],
                opts=self._after(self.server),
            )

    def _serving(self) -> Serving:
        return Serving(
            url=self.front.listens.apply(
                lambda port: naming.tracking_url(int(port), self._settings.network.path_prefix)
            ),
            revision=self.server.revision,
            made_of=self.pinned.apply(
                lambda pin: {"environmentLock": pin.release.environment_lock if pin else self._lock}
            ),
            schema_head=self.migration.head,
            locator=self._locator,
            credentials=self._login,
            access=self._access.apply(lambda mode: mode != "none"),
            depends_on=[
                {part: service.identity for part, service in self._services.items()},
                pulumi.Output.all(self.pinned, self._desired).apply(lambda found: (found[0] or found[1]).identity),
                # The keys that are valid: servers read them by themselves, so that they are in no revision.
                self.credentials.versions.apply(lambda versions: versions[credentials.API_KEYS]),
            ],
            keys=self._desired.apply(_keys_version),
            report=str(self._state.report),
        )


def _access(found: list[Any]) -> str:
    """Return the mode of access that is served: a pinned revision may have another than the settings."""
    pinned, described = found
    return str(pinned.release.access if pinned else described.access)


def _keys_version(found: DesiredServer) -> str:
    versions = found.secret_versions
    return " ".join(str(versions[name]) for name in keys.IN_FORCE if name in versions)
