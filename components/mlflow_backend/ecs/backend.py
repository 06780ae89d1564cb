"""The `ecs` target as one component: it wires its parts in the order in which they need each other.

Owns the order of an update, and the inputs of each part: data stores, migration, revision, the platform's wait,
verification, ledger. What the parts are is in `render`; nothing is decided here.
"""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Any

import pulumi

from mlflow_backend.aws import plugin
from mlflow_backend.aws.balancer import Balancer
from mlflow_backend.aws.cache import Cache
from mlflow_backend.aws.connection import Connection, refuse_provider
from mlflow_backend.aws.database import Database
from mlflow_backend.aws.identity import Identity
from mlflow_backend.aws.monitoring import Monitoring
from mlflow_backend.aws.network import Network
from mlflow_backend.aws.provider import ApiKeys, SecretArgs, ServerSecrets
from mlflow_backend.aws.render import alarms, storage
from mlflow_backend.aws.render import database as database_render
from mlflow_backend.aws.render.balancer import rollout_deadline, timeouts
from mlflow_backend.aws.render.secrets import IN_FORCE, SERVER_SECRETS, SecretSource
from mlflow_backend.aws.scope import Scope
from mlflow_backend.aws.storage import Storage
from mlflow_backend.aws.store import S3Store
from mlflow_backend.backend import Backend, Serving
from mlflow_backend.bucket_root import ARTIFACTS
from mlflow_backend.dynamic import document_of
from mlflow_backend.ecs.history import describe
from mlflow_backend.ecs.locator import EcsLocator, locator_of
from mlflow_backend.ecs.oneshot import Network as TaskNetwork
from mlflow_backend.ecs.preflight import preflight_args
from mlflow_backend.ecs.protection import Protection
from mlflow_backend.ecs.provider import Rollout
from mlflow_backend.ecs.refusals import naming_of
from mlflow_backend.ecs.render import containers, policies, roles, scheduled, tasks
from mlflow_backend.ecs.render import service as render
from mlflow_backend.ecs.service import Service
from mlflow_backend.hosted import report_path
from mlflow_backend.preflight.provider import Preflight
from mlflow_backend.releases import pins
from mlflow_backend.settings import refuse_broken
from mlflow_backend.tokens import ECS_BACKEND

if TYPE_CHECKING:
    from mlflow_backend.ecs.args import EcsBackendArgs
    from mlflow_backend.releases.pins import PinnedRelease


class EcsBackend(Backend):
    """An MLflow backend on AWS Fargate.

    Attributes: `tracking_url`, `release`, `verification`; the parts `network`, `storage`, `database`, `cache`,
    `identity`, `balancer`, `service` and `monitoring`, whose resources others may build on; and `provider`, the AWS
    provider of them all.
    """

    def __init__(self, name: str, args: EcsBackendArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Read the ledger, and register everything in the order of an update.

        Raises SettingsError for settings that break a rule; Refused for settings that ECS cannot fulfil, that disagree
        with the ledger, for an AWS provider in `opts`, and if Pulumi's plugin cannot be had; PlatformFailed if the
        ledger cannot be read.
        """
        refuse_provider(name, opts)
        args = args.complete()
        settings = args.settings
        refuse_broken(settings)
        naming = naming_of(settings, project=pulumi.get_project(), stack=pulumi.get_stack(), name=name)
        connection = args.connection or Connection(naming.region)
        self._scope = Scope(settings=settings, naming=naming, connection=connection)
        plugin.require()
        self._identity = tasks.release_identity(settings, naming)
        pinned, self._migrated = ledger_of(self._scope, self._identity)
        self.provider = self._scope.provider(f"{name}-aws")
        super().__init__(
            ECS_BACKEND,
            name,
            settings=settings,
            opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(providers=[self.provider])),
        )
        self._serve_pinned(pinned)
        self._pin = None if pinned is None else pinned.release
        self._naming, self._args, self._child = naming, args, pulumi.ResourceOptions(parent=self)
        self._preflight = Preflight(f"{name}-preflight", preflight_args(settings, naming, args), opts=self._child)
        self.storage = Storage(f"{name}-storage", self._scope, opts=self._child)
        self.network = Network(
            f"{name}-network",
            self._scope,
            existing=args.existing_network,
            database=args.existing_database,
            cache=args.existing_cache,
            opts=self._child,
        )
        self._make_data_stores()
        self._make_identity()
        self._make_service()
        self._end_update(self._serving(), after=[self._roll_out(), *self.service.one_shots.values()])
        self._give_outputs(
            artifact_root=self.storage.store.apply(lambda store: store.address(ARTIFACTS)),
            dashboard_url=self.monitoring.dashboard_url,
            preflight=self._preflight.findings,
        )
        # Beside the backend, not below it: it depends on all that is in it.
        Protection(name, backend=self, protect=self._scope.protect, parent=opts.parent if opts else None)

    def _make_data_stores(self) -> None:
        name, scope, network, args = self._name, self._scope, self.network, self._args
        key_arn = self.storage.key_arn
        secret = partial(SecretArgs, scope=scope, key_arn=key_arn, recovery_days=scope.recovery_days)
        self._secrets = ServerSecrets(f"{name}-secrets", secret(part="server"), names=SERVER_SECRETS, opts=self._child)
        self._keys = (
            ApiKeys(f"{name}-api-keys", secret(part="api-keys"), source=self._secrets, opts=self._child)
            if self._settings.access.mode == "token"
            else None
        )
        self.database = Database(
            f"{name}-database",
            scope,
            network.placement("database", key_arn),
            existing=args.existing_database,
            opts=self._child,
        )
        self.cache = Cache(
            f"{name}-cache",
            scope,
            network.placement("cache", key_arn),
            existing=args.existing_cache,
            opts=self._child,
        )

    def _make_identity(self) -> None:
        adopted = self._args.existing_database
        self.identity = Identity(
            f"{self._name}-identity",
            self._scope,
            trust=policies.tasks_trust(self._naming),
            roles=roles.roles(self._settings, self._naming),
            given={
                "store": self.storage.store,
                "server": self._secrets.arn,
                "database": self._secrets.arn if adopted is None else adopted.secret,
                "cache": self.cache.secret.apply(lambda found: found.arn),
                "admin": self.database.admin_secret,
                "api_keys": self._keys.arn if self._keys else None,
                "key": self.storage.key_arn,
            },
            opts=self._child,
        )
        self.storage.admit(self.identity.roles["server"])

    def _make_service(self) -> None:
        name, settings = self._name, self._settings
        times = timeouts(settings.server.request_timeout)
        self.balancer = Balancer(
            f"{name}-balancer",
            self._scope,
            network=self.network,
            times=times,
            logs_bucket=self.storage.logs_bucket,
            certificate=self._args.certificate,
            hosted_zone=self._args.hosted_zone,
            opts=self._child,
        )
        self.service = Service(
            f"{name}-service", self._scope, network=self.network, key_arn=self.storage.key_arn, opts=self._child
        )
        self._locator = self._make_locator()
        self.monitoring = self._watch()
        rendered = self._render_tasks()
        makers = scheduled.tools(settings, self._naming)
        tools = pulumi.Output.all(self.storage.store, self.balancer.url).apply(
            lambda found: {part: make(*found) for part, make in makers.items()}
        )
        for part, role in tasks.ONE_SHOTS.items():
            if role in self.identity.roles:
                tool = tools[part] if part in makers else None
                self.service.define(part, rendered[part], self.identity.attached, tool=tool)
        # Another version of the server's secret is another password, which the role has to be given; another user is
        # another role, which owns the database, or gets an error that names the owner.
        user = settings.aws.database.user
        self.add_migration(
            self._locator,
            database=pulumi.Output.concat(self.database.identity, "@", self._secrets.version, " as ", user),
            after=[self.service.one_shots[tasks.DATABASE], self.database, self.storage, self.network],
        )
        self.service.serve(
            rendered[tasks.SERVER],
            balancer=self.balancer,
            times=times,
            # The old revision refuses a migrated schema and would restart for ever; `migrate.onFailure` decides then.
            may_roll_back=not self._migrated,
            guards=self.monitoring.guards,
            pin=self._pin.revision if self._pin else None,
            # No server of ours is ever started on a database that is not at its head.
            needs=[self.migration, *self.identity.attached],
        )

    def _watch(self) -> Monitoring:
        settings, naming, balancer = self._settings, self._naming, self.balancer
        plan = database_render.database_plan(settings) if settings.database.mode == "create" else None
        identifiers: dict[alarms.Dimension, pulumi.Input[str]] = {
            "balancer": balancer.load_balancer.arn_suffix,
            "targets": balancer.target_group.arn_suffix,
            "database": naming.database(),
            "cache": alarms.first_node(naming.cache()),
        }
        if (certificate := self._args.certificate) is not None:
            identifiers["certificate"] = certificate
        return Monitoring(
            f"{self._name}-monitoring",
            self._scope,
            watched=alarms.alarms(
                cluster=naming.cluster(),
                database=plan,
                cache=self.cache.group is not None,
                certificate=certificate is not None,
                scheduled=scheduled.expressions(settings),
            ),
            identifiers=identifiers,
            logs=self.service.logs,
            key_arn=self.storage.key_arn,
            opts=self._child,
        )

    def _render_tasks(self) -> pulumi.Output[dict[str, dict[str, Any]]]:
        settings, naming, release = self._settings, self._naming, self._identity
        return pulumi.Output.all(
            image=self._preflight.pinnedImage,
            url=self.balancer.url,
            database=self.database.address,
            cache=self.cache.address,
            store=self.storage.store,
            server_secret=pulumi.Output.all(arn=self._secrets.arn, version=self._secrets.version).apply(
                lambda found: SecretSource(key="", stage=IN_FORCE, **found)
            ),
            cache_secret=self.cache.secret,
            database_secret=self.database.secret,
            admin_secret=self.database.admin_secret,
            api_keys=self._keys.arn if self._keys else None,
            roles={part: role.arn for part, role in self.identity.roles.items()},
        ).apply(lambda found: tasks.definitions(settings, naming, tasks.TaskDependencies(**found), release=release))

    def _make_locator(self) -> pulumi.Output[EcsLocator]:
        """Return the locator; unknown only until network and balancer are there."""
        settings, naming, connection = self._settings, self._naming, self._scope.connection
        network = self.network
        placed = pulumi.Output.all(*network.task_subnets).apply(tuple), network.groups["tasks"]
        place = pulumi.Output.all(*placed).apply(
            lambda found: TaskNetwork(
                subnets=found[0], security_groups=(found[1],), public_address=network.tasks_are_public
            )
        )
        return pulumi.Output.all(
            store=self.storage.store, network=place, url=self.balancer.url, secret=self._secrets.arn
        ).apply(lambda found: locator_of(settings, naming, connection, **found))

    def _roll_out(self) -> Rollout:
        """Wait for the platform: after it, no server is left that has other keys, or would write with them."""
        return Rollout(
            f"{self._name}-rollout",
            revision=self.service.revision,
            locator=document_of(self._locator),
            deadline=rollout_deadline(self._settings.server.request_timeout),
            opts=self._after(self.service.service),
        )

    def _serving(self) -> Serving:
        pin = self._pin
        return Serving(
            url=self.balancer.url,
            revision=self.service.revision,
            made_of=self._preflight.pinnedImage.apply(
                lambda image: {"imageDigest": (pin and pin.image_digest) or str(image).rpartition("@")[2]}
            ),
            schema_head=self.migration.head,
            locator=self._locator,
            credentials=self._locator.apply(lambda found: found.credentials),
            access=self._settings.access.mode != "none",
            depends_on=[
                self.identity.documents,
                self._secrets.version,
                self.cache.secret.apply(containers.value_from),
                self.database.identity,
                self.storage.store.apply(str),
                self.balancer.listener.arn,
                self.balancer.target_group.arn,
                [*render.decided(self._settings), self._identity],
            ],
            keys=self._secrets.version,
            report=str(report_path(self._naming.stack)),
        )


def ledger_of(scope: Scope, identity: str) -> tuple[PinnedRelease | None, bool]:
    """Return the release that the ledger names instead of this one, and whether the schema changes."""
    settings, naming, connection = scope.settings, scope.naming, scope.connection
    data = storage.store(settings, naming)
    store = S3Store(connection.client("s3"), bucket=data.bucket, root=data.root)
    contents = pins.ledger_contents(store, requested=settings.release.pin)
    pinned = pins.pinned_release(
        contents.state,
        identity=identity,
        describe=lambda revision: describe(connection.client("ecs"), naming.family(tasks.SERVER), revision),
    )
    return pinned, contents.changes_schema(identity, settings.server.mlflow_version)
