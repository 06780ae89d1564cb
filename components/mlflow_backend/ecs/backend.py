"""The `ecs` target as one component: it wires its parts in the order in which they need each other.

Owns the order of an update, and what each part is told: data stores, migration, revision, the platform's wait,
verification, ledger. What the parts are is in `render`; nothing is decided here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi

from mlflow_backend.aws.balancer import Balancer
from mlflow_backend.aws.cache import Cache
from mlflow_backend.aws.database import Database
from mlflow_backend.aws.identity import Identity
from mlflow_backend.aws.monitoring import Monitoring
from mlflow_backend.aws.network import Network
from mlflow_backend.aws.provider import ApiKeys, ServerSecrets
from mlflow_backend.aws.render import alarms, storage
from mlflow_backend.aws.render import database as database_render
from mlflow_backend.aws.render.balancer import timeouts
from mlflow_backend.aws.render.secrets import SERVER_SECRETS
from mlflow_backend.aws.storage import Storage
from mlflow_backend.contract import BackendOutputs, client_lines
from mlflow_backend.ecs import roles, told
from mlflow_backend.ecs.locator import report_path
from mlflow_backend.ecs.looked_at import preflight_args
from mlflow_backend.ecs.proof import Served, prove
from mlflow_backend.ecs.refusals import refuse_unsupported
from mlflow_backend.ecs.render import containers, policies, tasks
from mlflow_backend.ecs.render.service import platform_may_roll_back
from mlflow_backend.ecs.service import Service
from mlflow_backend.migrate.provider import Migration, MigrationArgs
from mlflow_backend.naming import tags
from mlflow_backend.preflight.provider import Preflight
from mlflow_backend.settings import refuse_broken
from mlflow_backend.tokens import ECS_BACKEND

if TYPE_CHECKING:
    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.ecs.holding import Held
    from mlflow_backend.ecs.render.tasks import Reached
    from mlflow_backend.settings import Settings
    from mlflow_backend.verification.provider import Verification

_RECOVERY_DAYS = 30


class EcsBackend(pulumi.ComponentResource):
    """An MLflow backend on AWS Fargate.

    Attributes: `tracking_url`, `release`, `verification`.
    """

    def __init__(  # noqa: PLR0913 - what an update is told, by name
        self,
        name: str,
        *,
        settings: Settings,
        naming: Naming,
        held: Held | None = None,
        migrated: bool = False,
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Take the stack's settings and its place; the AWS provider comes by `opts`.

        Raises SettingsError for settings that break a rule, Refused for one that this target cannot fulfil.
        `held` is what the ledger holds the service to; `migrated` is whether the release before has another schema.
        """
        refuse_broken(settings)
        refuse_unsupported(settings)
        super().__init__(ECS_BACKEND, name, None, opts)
        self._name, self._settings, self._naming, self._held = name, settings, naming, held
        self._migrated = migrated
        self._report, self._child = report_path(naming.stack), pulumi.ResourceOptions(parent=self)
        protect = database_render.protected(settings)
        self._recovery_days = _RECOVERY_DAYS if protect else 0
        self._preflight = Preflight(f"{name}-preflight", preflight_args(settings, naming), opts=self._child)
        self._storage = Storage(f"{name}-storage", settings=settings, naming=naming, opts=self._child)
        self._network = Network(f"{name}-network", settings=settings, naming=naming, opts=self._child)
        self._make_data_stores()
        self._make_identity()
        self._make_service()
        self.tracking_url = self._balancer.url
        self.release = self._make_release()
        self.verification = self._verify()
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
                "report": str(self._report),
                "preflight": self._preflight.findings,
            },
            artifact_root=self._storage.store.apply(storage.destination),
            dashboard_url=pulumi.Output.from_input(self._monitoring.dashboard_url),
            client=self.tracking_url.apply(client_lines),
        )

    def _make_data_stores(self) -> None:
        name, settings, naming = self._name, self._settings, self._naming
        key_arn, network = self._storage.key_arn, self._network
        self._secrets = ServerSecrets(
            f"{name}-secrets",
            region=naming.region,
            secret=naming.secret("server"),
            key_arn=key_arn,
            names=SERVER_SECRETS,
            recovery_days=self._recovery_days,
            tags=tags(project=naming.project, stack=naming.stack, own=settings.tags),
            opts=self._child,
        )
        self._keys = None if settings.access.mode != "token" else self._make_keys()
        self._database = Database(
            f"{name}-database",
            settings=settings,
            naming=naming,
            network=network,
            key_arn=key_arn,
            secret_arn=self._secrets.arn,
            opts=self._child,
        )
        self._cache = Cache(
            f"{name}-cache",
            settings=settings,
            naming=naming,
            network=network,
            key_arn=key_arn,
            recovery_days=self._recovery_days,
            opts=self._child,
        )

    def _make_keys(self) -> ApiKeys:
        settings, naming = self._settings, self._naming
        return ApiKeys(
            f"{self._name}-api-keys",
            region=naming.region,
            secret=naming.secret("api-keys"),
            key_arn=self._storage.key_arn,
            source=self._secrets,
            recovery_days=self._recovery_days,
            tags=tags(project=naming.project, stack=naming.stack, own=settings.tags),
            opts=self._child,
        )

    def _make_identity(self) -> None:
        adopted = self._settings.aws.database.secret
        documents = roles.documents(
            self._settings,
            self._naming,
            store=self._storage.store,
            reads=roles.Reads(
                server=self._secrets.arn,
                database=self._secrets.arn if adopted is None else adopted,
                cache=self._cache.secret.apply(lambda found: found.arn),
                admin=self._database.admin_secret,
                api_keys=self._keys.arn if self._keys else None,
                key=self._storage.key_arn,
            ),
        )
        self._identity = Identity(
            f"{self._name}-identity",
            naming=self._naming,
            trust=policies.tasks_trust(self._naming),
            documents=documents,
            boundary=self._settings.aws.permissions_boundary,
            opts=self._child,
        )
        self._storage.admit(self._identity.roles["server"])

    def _make_service(self) -> None:
        name, settings, naming = self._name, self._settings, self._naming
        times = timeouts(settings.server.request_timeout)
        self._balancer = Balancer(
            f"{name}-balancer",
            settings=settings,
            naming=naming,
            network=self._network,
            times=times,
            logs_bucket=self._storage.logs_bucket,
            opts=self._child,
        )
        self._service = Service(
            f"{name}-service",
            settings=settings,
            naming=naming,
            network=self._network,
            key_arn=self._storage.key_arn,
            opts=self._child,
        )
        self._monitoring = self._watch()
        reached = self._reached()
        task = told.database_task(
            settings, naming, reached, store=self._storage.store, database=self._database, identity=self._identity
        )
        self._service.define_database_task(task, self._identity.attached)
        if tasks.VERIFY in self._identity.roles:
            verify = told.verify_task(settings, naming, reached, self._identity)
            self._service.define_verify_task(verify, self._identity.attached)
        migration = self._migrate()
        self._service.serve(
            pulumi.Output.all(reached, self._storage.store).apply(
                lambda found: tasks.server_task(settings, naming, found[0], store=found[1])
            ),
            balancer=self._balancer,
            times=times,
            may_roll_back=platform_may_roll_back(migrated=self._migrated),
            guards=self._monitoring.guards,
            pin=self._held.revision if self._held else None,
            # No server of ours is ever started on a database that is not at its head.
            needs=[migration, *self._identity.attached],
        )
        self._migration = migration

    def _watch(self) -> Monitoring:
        settings, naming, balancer = self._settings, self._naming, self._balancer
        plan = database_render.database_plan(settings) if settings.database.mode == "create" else None
        identifiers: dict[alarms.Dimension, pulumi.Input[str]] = {
            "balancer": balancer.load_balancer.arn_suffix,
            "targets": balancer.target_group.arn_suffix,
            "database": naming.database(),
            "cache": alarms.first_node(naming.cache()),
        }
        return Monitoring(
            f"{self._name}-monitoring",
            settings=settings,
            naming=naming,
            watched=alarms.alarms(cluster=naming.cluster(), database=plan, cache=self._cache.group is not None),
            identifiers=identifiers,
            tasks_logs=self._service.tasks_logs,
            key_arn=self._storage.key_arn,
            opts=self._child,
        )

    def _reached(self) -> pulumi.Output[Reached]:
        return told.reached(
            self._settings,
            image=self._preflight.pinnedImage,
            url=self._balancer.url,
            database=self._database,
            cache=self._cache,
            secrets=self._secrets,
            identity=self._identity,
            keys=self._keys,
        )

    def _migrate(self) -> Migration:
        # Another version of the server's secret is another password, which the role has to be given; another user is
        # another role, which owns the database or is told that it does not.
        user = self._settings.aws.database.user
        database = pulumi.Output.concat(self._database.identity, "@", self._secrets.version, " as ", user)
        return Migration(
            f"{self._name}-migration",
            MigrationArgs(
                locator=self._locator(),
                mlflow_version=self._mlflow_version,
                database=database,
                on_failure=self._settings.migrate.on_failure,
            ),
            opts=pulumi.ResourceOptions(
                parent=self, depends_on=[self._service.database_task, self._database, self._storage, self._network]
            ),
        )

    def _locator(self) -> pulumi.Output[dict[str, str]]:
        return told.locator_of(
            self._settings,
            self._naming,
            store=self._storage.store,
            network=self._network,
            url=self._balancer.url,
            secrets=self._secrets,
        )

    @property
    def _mlflow_version(self) -> str:
        """The MLflow version that is served: the held revision's, whatever the settings say by now."""
        return self._held.mlflow_version if self._held else self._settings.server.mlflow_version

    def _make_release(self) -> pulumi.Output[dict[str, Any]]:
        version, digest = self._mlflow_version, self._held.image_digest if self._held else None
        return pulumi.Output.all(self._service.revision, self._preflight.pinnedImage, self._migration.head).apply(
            lambda found: {
                "revision": found[0],
                "mlflowVersion": version,
                "imageDigest": digest or str(found[1]).rpartition("@")[2],
                "schemaHead": found[2],
            }
        )

    def _verify(self) -> Verification:
        digest = told.serving_digest(
            self.release,
            self._identity.documents,
            self._secrets.version,
            self._cache.secret.apply(containers.value_from),
            self._database.identity,
            self._storage.store.apply(str),
            self._balancer.listener.arn,
            self._balancer.target_group.arn,
            told.decided(self._settings, self._naming),
        )
        return prove(
            self._name,
            settings=self._settings,
            naming=self._naming,
            held=self._held,
            served=Served(
                url=self.tracking_url,
                release=self.release,
                revision=self._service.revision,
                locator=self._locator(),
                credentials=told.credentials_of(self._settings, self._secrets),
                digest=digest,
                keys=self._secrets.version,
            ),
            report_path=str(self._report),
            service=self._service.service,
            needs=[task for task in (self._service.database_task, self._service.verify_task) if task],
            parent=self,
        )
