"""The `local` target as one component: it wires its parts in the order in which they need each other.

Owns the order and what each part is asked for. What the parts do is in their own modules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi

from mlflow_backend.codec import to_document
from mlflow_backend.contract import BackendOutputs, client_lines
from mlflow_backend.local import credentials, desired, environment, holding, naming, package, render
from mlflow_backend.local.provider import Credentials, Environment, Server, Service, SupervisorDaemon
from mlflow_backend.local.refusals import refuse_unsupported
from mlflow_backend.local.state import StateDir
from mlflow_backend.migrate.provider import Migration, MigrationArgs, Reencryption, warn_of_lost
from mlflow_backend.releases.provider import Hold, LedgerEntry, LedgerEntryArgs
from mlflow_backend.server import keys
from mlflow_backend.settings import Settings, refuse_broken
from mlflow_backend.tokens import LOCAL_BACKEND
from mlflow_backend.verification.provider import Verification, VerificationArgs

if TYPE_CHECKING:
    from pathlib import Path

    from mlflow_backend.local.holding import Served


@dataclass(frozen=True, kw_only=True)
class LocalBackendArgs:
    """What a backend on this machine is made from.

    `settings` are those of a stack's file. `folder` is the absolute path of what holds everything that the backend
    owns: data, credentials, logs. Commands find the backend by it.
    """

    settings: Settings
    folder: Path


class LocalBackend(pulumi.ComponentResource):
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
    reencryption: Reencryption
    verification: Verification
    tracking_url: pulumi.Output[str]
    release: pulumi.Output[dict[str, Any]]

    def __init__(self, name: str, args: LocalBackendArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Register the backend.

        Raises SettingsError for settings that break a rule, Refused for one that only other targets can fulfil,
        PlatformFailed for an MLflow version without a lock.
        """
        refuse_broken(args.settings)
        refuse_unsupported(args.settings)
        super().__init__(LOCAL_BACKEND, name, None, opts)
        self._name, self._settings, self._state = name, args.settings, StateDir(args.folder)
        self._folder = str(args.folder)
        self._locator = {"kind": "local", "state": self._folder}
        self._lock = environment.locate(args.settings.server.mlflow_version).lock
        self._add_services()
        self._served = self._what_is_served()
        self._add_server()
        self.tracking_url = self.front.listens.apply(
            lambda port: naming.tracking_url(int(port), args.settings.network.path_prefix)
        )
        self.release = pulumi.Output.all(self.server.revision, self._served, self.migration.head).apply(_release)
        self._login = self._served.apply(lambda found: credentials.references(self._state, found.access))
        self._add_verification()
        self._add_record()
        self.register_outputs(
            {"trackingUrl": self.tracking_url, "release": self.release, "verification": self.verification.verdict}
        )

    def outputs(self) -> BackendOutputs:
        """Return what the stack exports."""
        return BackendOutputs(
            tracking_url=self.tracking_url,
            release=self.release,
            verification={
                "verdict": self.verification.verdict,
                "finished": self.verification.finished,
                "summary": self.verification.summary,
                "table": self.verification.table.apply(str.splitlines),
                "report": str(self._state.report),
            },
            artifact_root=pulumi.Output.from_input(naming.ARTIFACT_ROOT),
            dashboard_url=pulumi.Output.from_input(None),
            client=pulumi.Output.all(self.tracking_url, self._login).apply(lambda found: client_lines(*found)),
        )

    def _add_services(self) -> None:
        self.credentials = Credentials(f"{self._name}-credentials", state=self._folder, opts=self._child())
        self.supervisor = SupervisorDaemon(
            f"{self._name}-supervisor", state=self._folder, opts=self._child(self.credentials)
        )
        versions = self.credentials.versions
        self.database = self._service(
            "database",
            maxConnections=self._settings.database.max_connections,
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
            opts=self._child(self.supervisor),
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
            opts=self._child(),
        )
        self.migration = Migration(
            f"{self._name}-migration",
            MigrationArgs(
                locator=self._locator,
                mlflow_version=version,
                database=self.database.identity,
                on_failure=self._settings.migrate.on_failure,
            ),
            opts=self._child(self.environment, self.database),
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
            opts=self._child(self.environment, self.migration, *self._services.values()),
        )
        self.reencryption = Reencryption(
            f"{self._name}-reencryption",
            locator=self._locator,
            mlflow_version=version,
            keys=self._served.apply(_keys_version),
            opts=self._child(self.server),
        )
        warn_of_lost(self.reencryption, self)

    @property
    def _extra_checks(self) -> list[dict[str, Any]]:
        return [each.model_dump(by_alias=True, mode="json") for each in self._settings.verify.extra_checks]

    def _add_verification(self) -> None:
        verify = self._settings.verify
        # The keys that are valid are part of it: servers read them by themselves, so that they are in no revision.
        parts = {
            "services": {part: service.identity for part, service in self._services.items()},
            "server": self._served.apply(lambda found: found.desired.identity if found.desired else found.revision),
            "release": self.release,
            "keys": self.credentials.versions.apply(lambda versions: versions[credentials.API_KEYS]),
        }
        self.verification = Verification(
            f"{self._name}-verification",
            VerificationArgs(
                url=self.tracking_url,
                release=self.release,
                serving_digest=pulumi.Output.from_input(parts).apply(render.digest),
                locator=self._locator,
                report_path=str(self._state.report),
                profile=verify.profile,
                deadline=verify.deadline,
                on_failure=verify.on_failure,
                when=verify.when,
                credentials=self._login,
                access=self._served.apply(lambda found: found.access != "none"),
                jobs=self._settings.server.jobs,
                max_upload_mib=self._settings.server.max_artifact_mib or None,
                extra_checks=tuple(self._extra_checks),
            ),
            opts=self._child(self.reencryption),
        )

    def _add_record(self) -> None:
        """Record what was verified; then end red if the release of the settings is withheld."""
        entry = LedgerEntry(
            f"{self._name}-ledger",
            LedgerEntryArgs(
                locator=self._locator, revision=self.verification.revision, verified=self.verification.finished
            ),
            opts=self._child(self.verification),
        )
        accept = self._settings.release.accept_pin
        Hold(
            f"{self._name}-hold",
            withheld=self._served.apply(lambda found: found.withheld),
            accepted=self._served.apply(lambda found: found.manual and accept),
            opts=self._child(entry),
        )

    def _child(self, *needed: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=list(needed))


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
