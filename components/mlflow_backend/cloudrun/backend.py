"""The target `cloudrun` as one component: it registers the rendered documents in the order in which they are needed.

Owns that order, and which output flows into which document. What the documents say is in `render`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_gcp as gcp

from mlflow_backend.backend import Backend, Serving
from mlflow_backend.bucket_root import ARTIFACTS
from mlflow_backend.cloudrun import preflight, scheduled, traffic
from mlflow_backend.cloudrun.locator import locator_of
from mlflow_backend.cloudrun.platform import CloudRunPlatform
from mlflow_backend.cloudrun.provider import Candidate, Rollout
from mlflow_backend.cloudrun.refusals import naming_of
from mlflow_backend.cloudrun.render import access, containers, jobs, service
from mlflow_backend.cloudrun.render.service import Surroundings
from mlflow_backend.cloudrun.rendered import undrawn
from mlflow_backend.cloudrun.service import OPERATION_S
from mlflow_backend.findings import documents
from mlflow_backend.gcp.identity import Identity
from mlflow_backend.gcp.monitoring import Monitoring
from mlflow_backend.gcp.network import Network
from mlflow_backend.gcp.provider import BackupTool, ServerSecrets
from mlflow_backend.gcp.render import alerts, arguments, backups, cache, identity, network, scheduler, secrets
from mlflow_backend.gcp.render.secrets import secret_versions
from mlflow_backend.gcp.scope import Scope, refuse_provider
from mlflow_backend.gcp.scope import arguments as named
from mlflow_backend.gcp.stores import Cache, Database, Storage
from mlflow_backend.hosted import report_path
from mlflow_backend.releases import pins
from mlflow_backend.schedules import BACKUP, MAINTENANCE
from mlflow_backend.settings import refuse_broken
from mlflow_backend.tokens import CLOUDRUN_BACKEND

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mlflow_backend.backup.tool import Tool
    from mlflow_backend.findings import Finding
    from mlflow_backend.releases.pins import PinnedRelease
    from mlflow_backend.settings import Settings


@dataclass(frozen=True, kw_only=True)
class CloudRunBackendArgs:
    """A backend in a project of Google Cloud, from the settings of a stack's file or of a program."""

    settings: Settings


@dataclass(frozen=True, kw_only=True)
class Found:
    """What is there before an update: the service as Google has it, and what the ledger says.

    `wanted` are the revisions that are there and that a rollback may go to, `failed` those that never started.
    """

    service: Mapping[str, Any] | None
    pinned: PinnedRelease | None
    wanted: frozenset[str]
    failed: frozenset[str] = frozenset()

    @property
    def revision(self) -> str | None:
        """The revision that the ledger pins."""
        return None if self.pinned is None else self.pinned.release.revision


class CloudRunBackend(Backend):
    """An MLflow backend on Cloud Run.

    Attributes: `tracking_url`, `release`, `verification`; `network`, `storage`, `database`, `cache`, `identity`, the
    blocks; `service`; `monitoring`; and `provider`, the provider of them all.
    """

    def __init__(self, name: str, args: CloudRunBackendArgs, opts: pulumi.ResourceOptions | None = None) -> None:
        """Read the service and the ledger, and register everything in the order of an update.

        Raises SettingsError for settings that break a rule; Refused for settings that this target cannot fulfil, that
        disagree with the ledger, and for a provider of Google Cloud in `opts`; PlatformFailed if Google
        or the ledger cannot be asked.
        """
        refuse_provider(name, opts)
        settings = args.settings
        refuse_broken(settings)
        naming = naming_of(settings, project=pulumi.get_project(), stack=pulumi.get_stack(), name=name)
        self._scope = Scope(settings=settings, naming=naming)
        self._locator = locator_of(settings, naming)
        self._identity = service.release_identity(settings, naming)
        self._findings, self._found = _inspect(settings, CloudRunPlatform(self._locator), self._identity)
        self.provider = gcp.Provider(f"{name}-gcp", project=naming.project, region=naming.region)
        super().__init__(
            CLOUDRUN_BACKEND,
            name,
            settings=settings,
            opts=pulumi.ResourceOptions.merge(opts, pulumi.ResourceOptions(providers=[self.provider])),
        )
        self._serve_pinned(self._found.pinned)
        self._make_stores()
        self._make_identity()
        self._make_jobs()
        self._make_service()
        waited = [*self._make_backups(), *self._make_maintenance(), *self._schedule(identity.VERIFIER)]
        least = service.scaling(settings)["minInstanceCount"]
        watched = alerts.alerts(settings, naming, least=least)
        self.monitoring = Monitoring(f"{name}-monitoring", self._scope, watched=watched, opts=self._after(self.service))
        self._end_update(self._serving(), after=[self._rollout, *waited])
        self._give_outputs(
            artifact_root=self.storage.store.address(ARTIFACTS),
            sign_in=access.sign_in(settings, naming),
            preflight=documents(self._findings),
        )

    def _make_stores(self) -> None:
        name, scope = self._name, self._scope
        apis: list[pulumi.Resource] = [
            gcp.projects.Service(
                f"{name}-{api.partition('.')[0]}", service=api, disable_on_destroy=False, opts=self._after()
            )
            for api in network.apis(self._scope.settings)
        ]
        self._apis = apis
        self.network = Network(name, scope, opts=self._after(*apis))
        self.storage = Storage(name, scope, opts=self._after(*apis))
        after = [*apis, *self.network.resources]
        self.database = Database(
            f"{name}-database", scope, network=self.network.network, after=after, opts=self._after()
        )
        self.cache = Cache(f"{name}-cache", scope, network=self.network.network, after=after, opts=self._after())
        own = {
            part: gcp.secretmanager.Secret(
                f"{name}-secret-{part}",
                secret_id=scope.naming.secret(part),
                **named(secrets.secret(scope.settings, scope.naming)),
                deletion_protection=scope.protect and part in secrets.KEPT,
                opts=pulumi.ResourceOptions(
                    parent=self, depends_on=apis, protect=scope.protect and part in secrets.KEPT
                ),
            )
            for part in (*secrets.names(scope.settings), secrets.WAITING_KEYS)
        }
        self._own_secrets: list[pulumi.Resource] = list(own.values())
        made = [each.instance for each in (self.database, self.cache) if each.instance is not None]
        self.secrets = ServerSecrets(
            f"{name}-secrets", _secret_props(scope), opts=self._after(*self._own_secrets, *made)
        )

    def _make_identity(self) -> None:
        """Give each account what the documents of its containers name."""
        scope = self._scope
        drawn = undrawn(scope.settings, scope.naming)
        body = service.template(scope.settings, scope.naming, drawn, release="")
        given: dict[str, Any] = {
            identity.SERVER: [*containers.secrets_of(body), *_read_by_server(scope)],
            identity.DATABASE: containers.secrets_of(jobs.database_job(scope.settings, scope.naming, drawn)),
            identity.VERIFIER: containers.secrets_of(self._verify_job(drawn)),
        }
        there = None
        if scope.settings.backup.destination is not None:
            given[BACKUP] = containers.secrets_of(jobs.backup_job(scope.settings, scope.naming, drawn))
            there = backups.destination(scope.settings, scope.naming.stack)
        if access.maintainable(scope.settings):
            given[MAINTENANCE] = containers.secrets_of(self._maintenance_job(drawn))
        after = [*self._own_secrets, *([self.storage.bucket] if self.storage.bucket else [])]
        verified = identity.VERIFIER in scheduler.schedules(scope.settings)
        granted = identity.grants(self.storage.store, given, backups=there, verified=verified)
        self.identity = Identity(self._name, scope, granted=granted, after=after, opts=self._after())

    def _make_jobs(self) -> None:
        settings, naming = self._scope.settings, self._scope.naming
        self._drawn = pulumi.Output.all(
            self.secrets.versions, self.database.host, self.cache.host, self.cache.port
        ).apply(lambda found: _surroundings(self._scope, self.network, *found))
        tool = scheduled.verification(settings, self._locator)
        self._jobs = {
            identity.DATABASE: self._job(
                identity.DATABASE, self._drawn.apply(lambda drawn: jobs.database_job(settings, naming, drawn))
            ),
            identity.VERIFIER: self._job(
                identity.VERIFIER,
                self._drawn.apply(self._verify_job),
                after=[] if tool is None else [self._tool(identity.VERIFIER, tool)],
            ),
        }
        # Another version of the password has to reach the role, which any run of the database tool brings about.
        password = self.secrets.versions.apply(lambda found: str(found.get(secrets.DATABASE_PASSWORD, "")))
        user = settings.gcp.database.user
        self.add_migration(
            self._locator,
            database=pulumi.Output.concat(self.database.identity, "@", password, " as ", user),
            after=list(self._jobs.values()),
        )

    def _make_backups(self) -> list[pulumi.Resource]:
        """Register what takes backups, and who starts that when; return what an update waits for."""
        settings, naming = self._scope.settings, self._scope.naming
        if settings.backup.destination is None:
            return []
        tool = self._tool(BACKUP, jobs.backup_tool(settings, naming))
        body = self._drawn.apply(lambda drawn: jobs.backup_job(settings, naming, drawn))
        self._jobs[BACKUP] = self._job(BACKUP, body, after=[tool])
        return [self._jobs[BACKUP], *self._schedule(BACKUP)]

    def _make_maintenance(self) -> list[pulumi.Resource]:
        """Register what maintains, if it can call the servers, and who starts that when."""
        if not access.maintainable(self._scope.settings):
            return []
        tool = self._tool(MAINTENANCE, scheduled.maintenance(self._scope.settings, self._locator))
        body = self._drawn.apply(self._maintenance_job)
        self._jobs[MAINTENANCE] = self._job(MAINTENANCE, body, after=[tool])
        return [self._jobs[MAINTENANCE], *self._schedule(MAINTENANCE)]

    def _verify_job(self, drawn: Surroundings) -> dict[str, Any]:
        """Return the job that verifies within the network."""
        settings = self._scope.settings
        command = scheduled.verify_command(settings, self._locator)
        return jobs.verify_job(settings, self._scope.naming, drawn, command)

    def _maintenance_job(self, drawn: Surroundings) -> dict[str, Any]:
        """Return the job that maintains."""
        settings, locator = self._scope.settings, self._locator
        command, url = scheduled.maintain_command(settings, locator), scheduled.users_url(settings, locator)
        return jobs.maintenance_job(settings, self._scope.naming, drawn, command, url=url)

    def _tool(self, part: str, tool: Tool) -> BackupTool:
        """Register the tool that a job fetches."""
        stored = [self.storage.bucket] if self.storage.bucket else []
        return BackupTool(f"{self._name}-{part}-tool", tool, opts=self._after(*stored))

    def _schedule(self, part: str) -> list[pulumi.Resource]:
        """Register who starts a job on a schedule, if it has one."""
        name, settings, naming = self._name, self._scope.settings, self._scope.naming
        if part not in scheduler.schedules(settings):
            return []
        may_start = gcp.cloudrunv2.JobIamMember(
            f"{name}-{part}-starter",
            name=self._jobs[part].name,
            location=naming.region,
            role=access.INVOKER,
            member=naming.member(part),
            opts=self._after(self._jobs[part]),
        )
        return [
            gcp.cloudscheduler.Job(
                f"{name}-{part}-schedule",
                **named(scheduler.job(settings, naming, part)),
                region=naming.region,
                opts=self._after(may_start, *self._apis),
            )
        ]

    def _job(self, part: str, body: pulumi.Output[Any], *, after: Sequence[pulumi.Resource] = ()) -> gcp.cloudrunv2.Job:
        naming = self._scope.naming
        found = body.apply(arguments.job)
        return gcp.cloudrunv2.Job(
            f"{self._name}-job-{part}",
            name=naming.job(part),
            location=naming.region,
            # It holds nothing, and a replacement deletes it.
            deletion_protection=False,
            labels=found["labels"],
            template=found["template"],
            opts=self._after(self.secrets, *self.identity.resources, *after),
        )

    def _make_service(self) -> None:
        """Verify a new release apart, then let the service's resource declare what is there by then."""
        settings, naming, found = self._scope.settings, self._scope.naming, self._found
        body = self._drawn.apply(self._body)
        revision = body.apply(lambda each: str(found.revision or each["template"]["revision"]))
        candidate = Candidate(
            f"{self._name}-candidate",
            locator=self._locator.document(),
            revision=revision,
            tag=revision.apply(naming.tag_of),
            # As texts: Pulumi gives whole numbers back as floats.
            template=body.apply(lambda each: json.dumps(each["template"])),
            traffic=body.apply(lambda each: json.dumps(each["traffic"])),
            pinned=found.pinned is not None,
            verification=self.candidate_checks,
            opts=self._after(self.migration, self.secrets, *self.identity.resources),
        )
        inputs = body.apply(arguments.service)
        self.service = gcp.cloudrunv2.Service(
            f"{self._name}-service",
            name=naming.service(),
            location=naming.region,
            # It holds nothing. With the provider's guard `destroy --exclude-protected` would stop here, after the role
            # of the callers is gone.
            deletion_protection=False,
            **named(service.shell(settings, naming)),
            template=inputs["template"],
            traffics=inputs["traffics"],
            opts=pulumi.ResourceOptions(
                parent=self,
                depends_on=[candidate],
                # A pinned revision serves; the newest one stays as it is until the pin is lifted.
                ignore_changes=["template"] if found.pinned is not None else [],
            ),
        )
        self._make_invokers()
        self._rollout = Rollout(
            f"{self._name}-rollout",
            locator=self._locator.document(),
            revision=revision,
            deadline=OPERATION_S,
            opts=self._after(self.service, *self._invokers),
        )

    def _make_invokers(self) -> None:
        settings, naming = self._scope.settings, self._scope.naming
        verifier = naming.member(identity.VERIFIER)
        maintaining = [naming.member(MAINTENANCE)] if access.maintainable(settings) else []
        invoking = access.bindings(settings, naming, own=[verifier, *maintaining])
        self._invokers: list[pulumi.Resource] = [
            gcp.cloudrunv2.ServiceIamBinding(
                f"{self._name}-invokers",
                name=naming.service(),
                location=naming.region,
                role=each["role"],
                members=each["members"],
                opts=self._after(self.service),
            )
            for each in invoking
        ]
        self._invokers += [
            gcp.iap.WebCloudRunServiceIamBinding(
                f"{self._name}-iap",
                cloud_run_service_name=naming.service(),
                location=naming.region,
                role=each["role"],
                members=each["members"],
                opts=self._after(self.service),
            )
            for each in access.iap_bindings(settings, verifier=verifier)
        ]

    def _body(self, drawn: Surroundings) -> dict[str, Any]:
        """Return the service's document with the traffic that this update ends with."""
        settings, naming, found = self._scope.settings, self._scope.naming, self._found
        template = service.template(settings, naming, drawn, release=self._identity, failed=found.failed)
        revision = str(template["revision"])
        wanted = traffic.declared(
            found.service,
            revision=revision,
            tag=naming.tag_of(revision),
            pinned=found.revision,
            kept={tag: each for each in sorted(found.wanted) if (tag := naming.tag_of(each))},
        )
        return {
            **service.shell(settings, naming),
            "template": template,
            "traffic": service.targets(wanted),
        }

    def _serving(self) -> Serving:
        settings, naming, pinned = self._scope.settings, self._scope.naming, self._found.pinned
        return Serving(
            url=pulumi.Output.from_input(self._locator.url),
            revision=self._rollout.revision,
            made_of={
                "imageDigest": pinned.release.image_digest if pinned else str(settings.server.image).rpartition("@")[2]
            },
            schema_head=self.migration.head,
            locator=self._locator,
            credentials=self._locator.credentials,
            access=settings.access.mode != "none" or settings.gcp.access.identity is not None,
            depends_on=pulumi.Output.all(
                self.secrets.versions, service.shell(settings, naming), self._locator.document()
            ),
            keys=self.secrets.fingerprint,
            report=str(report_path(naming.stack)),
        )


def _inspect(settings: Settings, platform: CloudRunPlatform, release: str) -> tuple[tuple[Finding, ...], Found]:
    """Return what preflight found, and what Google and the ledger say before an update."""
    findings = preflight.refuse(settings, platform.naming, platform.api)
    found = pins.ledger_contents(platform.store, requested=settings.release.pin)
    pinned = pins.pinned_release(found.state, identity=release, describe=platform.describe)
    live = platform.run.service()
    verified = {each.release.revision for each in found.releases if each.release}
    serving = traffic.routed(live) if live else None
    revisions = {traffic.short(each["name"]): each for each in (platform.run.revisions() if live else [])}
    wanted = frozenset(each for each in (*verified, serving) if each in revisions)
    failed = frozenset(name for name, each in revisions.items() if traffic.has_failed(each))
    return findings, Found(service=live, pinned=pinned, wanted=wanted, failed=failed - wanted)


def _secret_props(scope: Scope) -> dict[str, Any]:
    settings, naming = scope.settings, scope.naming
    names = secrets.names(settings)
    return {
        "project": naming.project,
        "region": naming.region,
        "names": list(names),
        "secrets": {part: naming.secret(part) for part in (*names, secrets.WAITING_KEYS)},
        "database": naming.database() if settings.database.mode == "create" else "",
        "cache": naming.cache() if settings.cache.mode == "create" else "",
        "cacheUrl": cache.url_template(settings, ca=containers.ca_path(secrets.CACHE_CA)),
    }


def _surroundings(  # noqa: PLR0913, PLR0917 - what Google draws, in the order of the outputs
    scope: Scope, placed: Network, versions: Mapping[str, str], database: str, host: str, port: float
) -> Surroundings:
    return Surroundings(
        image=str(scope.settings.server.image),
        database=database,
        cache=host,
        cache_port=int(port),
        network=placed.network,
        subnet=placed.subnet,
        secrets=secret_versions(scope.settings, scope.naming, versions),
    )


def _read_by_server(scope: Scope) -> list[str]:
    """Return the secret that the server reads by itself, again and again."""
    return [scope.naming.secret(secrets.API_KEYS)] if scope.settings.access.mode == "token" else []
