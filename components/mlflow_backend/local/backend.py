"""The `local` target as one component: it wires its parts in the order in which they need each other.

Owns the order and what each part is told. What the parts do is in their own modules; nothing is decided here.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pulumi
from pydantic.alias_generators import to_camel

from mlflow_backend.codec import to_document
from mlflow_backend.contract import BackendOutputs, Refused, client_lines
from mlflow_backend.local import desired, environment, holding, naming, package, render
from mlflow_backend.local.credentials import API_KEYS, references
from mlflow_backend.local.provider import Credentials, Environment, Server, Service, SupervisorDaemon
from mlflow_backend.local.state import StateDir
from mlflow_backend.migrate.provider import Migration, MigrationArgs, Reencryption, warn_of_lost
from mlflow_backend.releases.provider import Hold, LedgerEntry, LedgerEntryArgs
from mlflow_backend.server import keys
from mlflow_backend.settings import refuse_broken
from mlflow_backend.tokens import LOCAL_BACKEND
from mlflow_backend.verification.provider import Verification, VerificationArgs

if TYPE_CHECKING:
    from mlflow_backend.local.holding import Served
    from mlflow_backend.settings import Settings


class LocalBackend(pulumi.ComponentResource):
    """An MLflow backend as supervised processes on this machine's loopback."""

    tracking_url: pulumi.Output[str]
    release: pulumi.Output[dict[str, Any]]

    def __init__(
        self, name: str, *, settings: Settings, folder: Path, opts: pulumi.ResourceOptions | None = None
    ) -> None:
        """Take the settings and the absolute path of the folder that holds everything the backend owns.

        Raises SettingsError for settings that break a rule, Refused for one that only other targets can fulfil,
        PlatformFailed for an MLflow version without a lock.
        """
        refuse_broken(settings)
        refuse_unsupported(settings)
        state = StateDir(folder)
        super().__init__(LOCAL_BACKEND, name, None, opts)
        self._name, self._settings, self._folder = name, settings, str(state.path)
        self._locator = {"kind": "local", "state": self._folder}
        lock = environment.locate(settings.server.mlflow_version).lock
        credentials = Credentials(f"{name}-credentials", state=self._folder, opts=self._child())
        supervisor = SupervisorDaemon(f"{name}-supervisor", state=self._folder, opts=self._child(credentials))
        self._services = self._make_services(credentials, supervisor)
        installed = Environment(
            f"{name}-environment",
            state=self._folder,
            mlflow_version=settings.server.mlflow_version,
            lock=lock,
            package=package.locate().digest,
            opts=self._child(),
        )
        served = self._served(credentials, lock)
        migration = Migration(
            f"{name}-migration",
            MigrationArgs(
                locator=self._locator,
                mlflow_version=served.apply(lambda found: found.mlflow_version),
                database=self._services["database"].identity,
                on_failure=settings.migrate.on_failure,
            ),
            opts=self._child(installed, self._services["database"]),
        )
        server = Server(
            f"{name}-server",
            state=self._folder,
            desired=served.apply(lambda found: to_document(found.desired) if found.desired else {}),
            pinned=served.apply(lambda found: found.revision),
            opts=self._child(installed, migration, *self._services.values()),
        )
        reencryption = Reencryption(
            f"{name}-reencryption",
            locator=self._locator,
            mlflow_version=served.apply(lambda found: found.mlflow_version),
            keys=served.apply(_keys_version),
            opts=self._child(server),
        )
        warn_of_lost(reencryption, self)
        self.tracking_url = self._services["front"].listens.apply(
            lambda port: naming.tracking_url(int(port), settings.network.path_prefix)
        )
        self.release = pulumi.Output.all(server.revision, served, migration.head).apply(_release)
        self._credentials = served.apply(lambda found: references(state, found.access))
        self.verification = self._verify(reencryption, served, credentials)
        self._remember(served)
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
                "report": str(StateDir(Path(self._folder)).report),
            },
            artifact_root=pulumi.Output.from_input(naming.ARTIFACT_ROOT),
            dashboard_url=pulumi.Output.from_input(None),
            client=pulumi.Output.all(self.tracking_url, self._credentials).apply(lambda found: client_lines(*found)),
        )

    def _make_services(self, credentials: Credentials, supervisor: SupervisorDaemon) -> dict[str, Service]:
        versions = credentials.versions
        wanted: dict[str, dict[str, Any]] = {
            "database": {
                "maxConnections": self._settings.database.max_connections,
                "passwordVersion": versions["database-password"],
                "administratorVersion": versions["database-admin-password"],
            },
            "cache": {"passwordVersion": versions["cache-password"]},
            "store": {"acceptedKeysVersion": versions["store-accepted-keys"]},
            "front": {"port": self._settings.server.port},
        }
        return {
            part: Service(
                f"{self._name}-{part}",
                state=self._folder,
                service=part,
                desired=properties,
                opts=self._child(supervisor),
            )
            for part, properties in wanted.items()
        }

    def _served(self, credentials: Credentials, lock: str) -> pulumi.Output[Served]:
        """Return what is served: what the settings describe, unless the ledger holds the stack to another revision."""
        state, settings = StateDir(Path(self._folder)), self._settings
        ledger_state = holding.ledger_state(state, requested=settings.release.pin)

        def serve(found: list[Any]) -> Served:
            # Pulumi gives whole numbers back as floats.
            listens = {part: int(port) for part, port in found[0].items()}
            wanted = desired.server(
                settings, state, ports=listens, versions=found[1], lock=lock, package=package.locate().digest
            )
            served = holding.served(state, ledger_state, wanted)
            if served.withheld:
                pulumi.log.warn(f"The release of the settings is withheld: {served.withheld}.", self)
            if told := holding.announcement(state, served.mlflow_version):
                pulumi.log.warn(told, self)
            return served

        ports = {part: service.listens for part, service in self._services.items()}
        return pulumi.Output.all(ports, credentials.versions).apply(serve)

    def _remember(self, served: pulumi.Output[Served]) -> None:
        """Record what was verified; then end red where the release of the settings is withheld."""
        entry = LedgerEntry(
            f"{self._name}-ledger-entry",
            LedgerEntryArgs(
                locator=self._locator,
                revision=self.verification.revision,
                verified=self.verification.finished,
            ),
            opts=self._child(self.verification),
        )
        accept = self._settings.release.accept_pin
        Hold(
            f"{self._name}-hold",
            withheld=served.apply(lambda found: found.withheld),
            accepted=served.apply(lambda found: found.manual and accept),
            opts=self._child(entry),
        )

    def _verify(self, needed: pulumi.Resource, served: pulumi.Output[Served], credentials: Credentials) -> Verification:
        state = StateDir(Path(self._folder))
        identities = {part: service.identity for part, service in self._services.items()}
        # The keys that are valid are part of it: servers read them by themselves, so that they are in no revision.
        parts = {
            "services": identities,
            "server": served.apply(lambda found: found.desired.identity if found.desired else found.revision),
            "release": self.release,
            "keys": credentials.versions.apply(lambda versions: versions[API_KEYS]),
        }
        serving = pulumi.Output.from_input(parts).apply(render.digest)
        return Verification(
            f"{self._name}-verification",
            VerificationArgs(
                url=self.tracking_url,
                release=self.release,
                serving_digest=serving,
                locator=self._locator,
                report_path=str(state.report),
                profile=self._settings.verify.profile,
                deadline=self._settings.verify.deadline,
                on_failure=self._settings.verify.on_failure,
                when=self._settings.verify.when,
                credentials=self._credentials,
                access=served.apply(lambda found: found.access != "none"),
                jobs=self._settings.server.jobs,
                max_upload_mib=self._settings.server.max_artifact_mib or None,
                extra_checks=tuple(
                    check.model_dump(by_alias=True, mode="json") for check in self._settings.verify.extra_checks
                ),
            ),
            opts=self._child(needed),
        )

    def _child(self, *needed: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self, depends_on=list(needed))


# Settings that this target cannot fulfil, with why; each is refused unless it has its default.
_UNSUPPORTED = {
    "server.image": "no container is run here",
    "server.cpu": "processes here share the machine",
    "server.memory": "processes here share the machine",
    "server.replicas": "one server runs here; use server.workers",
    "scaling.max_replicas": "one server runs here; use server.workers",
    "database.mode": "this target creates its own",
    "cache.mode": "this target creates its own",
    "artifacts.mode": "this target creates its own",
    "network.mode": "this target listens on loopback only",
    "network.public_url": "this target is reached by server.port on loopback only",
    "release.soak_hours": "no other stack's releases are taken over here",
    "release.soak_source": "no other stack's releases are taken over here",
    "backup.retention_days": "this target makes no backups yet",
    "aws": "this target is not on AWS",
    "tags": "nothing here can carry tags",
}


def refuse_unsupported(settings: Settings) -> None:
    """Raise Refused for every setting that this target cannot fulfil: none is ignored."""
    asked, default = settings.model_dump(), type(settings)(target="local").model_dump()
    findings = [
        f"{_spelled(path)} is set, and {why}"
        for path, why in _UNSUPPORTED.items()
        if _value(asked, path) != _value(default, path)
    ]
    if settings.access.mode == "cloudIdentity":
        findings.append("access.mode is set, and no cloud is here to know its identities")
    if findings:
        raise Refused(
            f"The target local cannot fulfil these settings: {'; '.join(findings)}.",
            code="local-settings-unfulfillable",
            fix="Remove or change them in Pulumi.<stack>.yaml.",
        )


def _value(document: dict[str, Any], path: str) -> object:
    """Return what stands at a dotted path."""
    found: Any = document
    for part in path.split("."):
        found = found[part]
    return found


def _spelled(path: str) -> str:
    """Return a path as the stack's file spells it."""
    return ".".join(to_camel(part) for part in path.split("."))


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
