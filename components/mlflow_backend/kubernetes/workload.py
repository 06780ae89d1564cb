"""The objects of a backend in its namespace, registered in the order in which an update needs them.

Owns that order, and which output flows into which document. What the documents say is in `render`.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_kubernetes as kubernetes

from mlflow_backend.backend import Serving
from mlflow_backend.contract import Refused
from mlflow_backend.given_providers import has_provider
from mlflow_backend.hosted import report_path
from mlflow_backend.kubernetes.history import template_of
from mlflow_backend.kubernetes.locator import LOCATOR
from mlflow_backend.kubernetes.naming import CACHE, CANDIDATE, CLIENT, DATABASE, SERVER, VERIFY
from mlflow_backend.kubernetes.provider import Candidate, ClientLogin, Rollout, ServerSecrets, Stores
from mlflow_backend.kubernetes.render import (
    backups,
    maintenance,
    monitoring,
    network,
    oneshot,
    secrets,
    server,
    stores,
    verification,
)
from mlflow_backend.releases import pins
from mlflow_backend.server import cache_url

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow_backend.backend import Backend
    from mlflow_backend.kubernetes.locator import KubernetesLocator
    from mlflow_backend.kubernetes.naming import Naming
    from mlflow_backend.kubernetes.platform import KubernetesPlatform
    from mlflow_backend.kubernetes.render.pods import Document
    from mlflow_backend.releases.pins import PinnedRelease
    from mlflow_backend.settings import Settings

_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")
_PACKAGE = "kubernetes"


def refuse_cluster_provider(name: str, opts: pulumi.ResourceOptions | None) -> None:
    """Raise Refused for a Kubernetes provider in `opts`, or inherited from the parent there."""
    if has_provider(opts, _PACKAGE):
        raise Refused(
            f"{name} was given a Kubernetes provider, by which its dynamic resources cannot log in.",
            code="kubernetes-provider-given",
            fix="Leave it out, and name the cluster in its settings, which make the provider too.",
        )


class Workload:
    """What a backend runs in its namespace.

    Attributes: `objects`, the cluster's objects by what each is for; `secrets`; `rollout`, after which the release
    serves.
    """

    def __init__(  # noqa: PLR0913 - what a workload is made from, by name
        self,
        name: str,
        backend: Backend,
        *,
        settings: Settings,
        naming: Naming,
        locator: KubernetesLocator,
        pinned: Document | None,
        provider: kubernetes.Provider | None = None,
        needs: Sequence[pulumi.Resource] = (),
        monitors: Sequence[str] = (),
    ) -> None:
        """Register everything below the backend and after what it `needs`; its provider is the backend's unless named.

        `monitors` are the kinds of monitoring's documents that the cluster takes. `pinned` is the pod template of the
        revision that a pin or a block names.
        """
        self._name, self._backend, self._provider, self._needs = name, backend, provider, tuple(needs)
        self._settings, self._naming, self._locator, self._pinned = settings, naming, locator, pinned
        self._identity = server.identity(settings, naming)
        self.objects: dict[str, pulumi.CustomResource] = {}
        self._make_ground()
        self._make_stores()
        self._make_one_shots()
        backend.add_migration(locator, database=self._database_identity(), after=[*self._needs, *self.objects.values()])
        self._make_servers()
        self._make_monitors(monitors)
        self.rollout = Rollout(
            f"{name}-rollout",
            locator=locator.document(),
            identity=self._served_identity,
            secrets=self._served_secrets,
            deadline=settings.kubernetes.server.rollout_deadline + 60,
            opts=self._after(*self.objects.values()),
        )

    def _make_ground(self) -> None:
        """Make what every pod stands on: its accounts, the network policies, the Secret, how the backend is found."""
        settings, naming = self._settings, self._naming
        for part, account in server.accounts(settings, naming).items():
            self._object("account" if part == SERVER else f"account-{part}", account)
        for part, policy in network.policies(settings, naming).items():
            self._object(f"policy-{part}", policy)
        self._object(
            LOCATOR,
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": naming.metadata(naming.part(LOCATOR), SERVER),
                "data": {"locator.json": json.dumps(self._locator.document(), sort_keys=True)},
            },
        )
        self.secrets = ServerSecrets(
            f"{self._name}-secrets", secret_props(settings, naming, self._locator), opts=self._after()
        )

    def _make_stores(self) -> None:
        """Make the stores that run in the cluster; everything after them needs them ready."""
        settings, naming, found = self._settings, self._naming, self.secrets
        ground = [*self.objects.values(), found]
        made: dict[str, Document] = {}
        if settings.database.mode == "create":
            made[DATABASE] = stores.database(settings, naming, version=found.certificate)
        if settings.cache.mode == "create":
            made[CACHE] = stores.cache(settings, naming, version=found.cache)
        for part, document in made.items():
            service = self._object(f"{part}-service", stores.service(naming, part))
            self._object(part, document, *ground, service)
        if made:
            ready = Stores(
                f"{self._name}-stores",
                locator=self._locator.document(),
                parts=list(made),
                documents=pulumi.Output.json_dumps(made, sort_keys=True).apply(_digest),
                deadline=settings.kubernetes.server.rollout_deadline,
                opts=self._after(*(self.objects[part] for part in made)),
            )
            self._needs = (*self._needs, ready)

    def _make_one_shots(self) -> None:
        for part, document in (
            (oneshot.DATABASE, oneshot.database(self._settings, self._naming)),
            (VERIFY, oneshot.verify(self._settings, self._naming)),
        ):
            self._object(part, document)
        for documents in (backups.documents, maintenance.documents, verification.documents):
            for part, document in documents(self._settings, self._naming).items():
                self._object(part, document)

    def _make_servers(self) -> None:
        """Verify a new release apart, then roll the servers, which the Service and the Ingress lead to."""
        settings, naming, pinned = self._settings, self._naming, self._pinned
        template = self._template(CANDIDATE)
        candidate = Candidate(
            f"{self._name}-candidate",
            locator=self._locator.document(),
            identity=self._served_identity,
            secrets=self._served_secrets,
            # As texts: Pulumi gives whole numbers back as floats, which Kubernetes takes for no port.
            deployment=pulumi.Output.json_dumps(server.candidate(settings, naming, template)),
            service=pulumi.Output.json_dumps(server.service(settings, naming, naming.part(CANDIDATE), CANDIDATE)),
            pinned=pinned is not None,
            verification=self._backend.candidate_checks,
            opts=self._after(self._backend.migration, *self.objects.values()),
        )
        deployment = server.deployment(settings, naming, pinned or self._template(SERVER))
        self._object(SERVER, deployment, candidate)
        self._object("service", server.service(settings, naming, naming.prefix, SERVER))
        self._object("autoscaler", server.autoscaler(settings, naming), self.objects[SERVER])
        self._object("disruption-budget", server.disruption_budget(naming))
        if settings.network.public_url is not None:
            self._object("ingress", network.ingress(settings, naming), self.objects["service"])
        for namespace in settings.kubernetes.network.published_to:
            self._object(f"client-{namespace}", server.client(settings, naming, namespace))

    def publish_logins(self) -> None:
        """Make the Secrets of clients, once the users that they log in as are there."""
        settings, naming, users = self._settings, self._naming, self._backend.users
        for namespace, user in settings.kubernetes.network.published_logins.items():
            ClientLogin(
                f"{self._name}-login-{namespace}",
                locator=self._locator.document(),
                namespace=namespace,
                secret=naming.published(),
                labels=naming.labels(CLIENT),
                user=user,
                password=settings.access.users[user].password,
                opts=self._after(*([users] if users else [])),
            )

    def _make_monitors(self, kinds: Sequence[str]) -> None:
        """Make what the Prometheus Operator takes, if it is there, and a dashboard for the Grafana beside it."""
        if kinds:
            self._object(monitoring.DASHBOARD, monitoring.dashboard(self._naming))
        for kind, document in monitoring.documents(self._settings, self._naming).items():
            if kind in kinds:
                opts = pulumi.ResourceOptions.merge(self._after(), pulumi.ResourceOptions(provider=self._provider))
                self.objects[kind] = kubernetes.apiextensions.CustomResource(
                    f"{self._name}-{kind.lower()}",
                    api_version=document["apiVersion"],
                    kind=kind,
                    metadata=document["metadata"],
                    spec=document["spec"],
                    opts=opts,
                )

    def _template(self, component: str) -> Document:
        return server.template(self._settings, self._naming, component=component, secrets_version=self._served_secrets)

    def _object(self, part: str, document: Document, *needs: pulumi.Resource) -> pulumi.CustomResource:
        """Register a document under the class of its kind."""
        group, _, version = str(document["apiVersion"]).rpartition("/")
        module = getattr(kubernetes, (group or "core").split(".")[0])
        class_ = getattr(getattr(module, version), document["kind"])
        arguments = {
            _WORD.sub("_", key).lower(): value for key, value in document.items() if key not in {"apiVersion", "kind"}
        }
        opts = pulumi.ResourceOptions.merge(self._after(*needs), pulumi.ResourceOptions(provider=self._provider))
        made: pulumi.CustomResource = class_(f"{self._name}-{part}", **arguments, opts=opts)
        self.objects[part] = made
        return made

    def _database_identity(self) -> pulumi.Output[str]:
        """Return what another database, user or password changes: the role is then made, or given its password."""
        address = stores.database_address(self._settings, self._naming)
        where = f"{address.host}:{address.port}/{address.name} as {address.user}"
        return pulumi.Output.concat(where, " ", self.secrets.version)

    @property
    def _served_identity(self) -> str:
        pinned = self._pinned
        return self._identity if pinned is None else str(pinned["metadata"]["annotations"][server.SETTINGS])

    @property
    def _served_secrets(self) -> Any:
        pinned = self._pinned
        return self.secrets.version if pinned is None else pinned["metadata"]["annotations"][server.SECRETS]

    def serving(self) -> Serving:
        """Return what the update serves, as the resources that end it need it."""
        settings, naming, image = self._settings, self._naming, str(self._settings.server.image).rpartition("@")[2]
        return Serving(
            url=pulumi.Output.from_input(self._locator.url),
            revision=self.rollout.revision,
            made_of=self._backend.pinned.apply(lambda pin: {"imageDigest": pin.release.image_digest if pin else image}),
            schema_head=self._backend.migration.head,
            locator=self._locator,
            credentials=self._locator.credentials,
            access=settings.access.mode != "none",
            depends_on=[
                self.secrets.version,
                network.policies(settings, naming),
                self._locator.document(),
                server.autoscaler(settings, naming),
            ],
            keys=self.secrets.keys,
            report=str(report_path(naming.stack)),
        )

    def _after(self, *needed: pulumi.Resource) -> pulumi.ResourceOptions:
        return pulumi.ResourceOptions(parent=self._backend, depends_on=[*self._needs, *needed])


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def pinned_release(
    platform: KubernetesPlatform, identity: str, *, requested: str | None
) -> tuple[PinnedRelease | None, Document | None]:
    """Return the release that the ledger names instead of the one with this identity, and its own pod template.

    What Pulumi then registers is what the cluster has. Raises Refused, PlatformFailed.
    """
    state = pins.ledger_state(platform.store, requested=requested)
    pinned = pins.pinned_release(state, identity=identity, describe=platform.describe)
    return pinned, None if pinned is None else template_of(platform.revision(pinned.release.revision))


def secret_props(settings: Settings, naming: Naming, locator: KubernetesLocator) -> dict[str, Any]:
    """Return the inputs of the resource that keeps the server's Secret."""
    cache = stores.cache_address(settings, naming)
    return {
        "locator": locator.document(),
        "namespace": naming.namespace,
        "secret": secrets.server_secret(settings, naming),
        "names": list(secrets.keys_of(settings)),
        "given": {name: list(keys) for name, keys in secrets.given(settings).items()},
        "hosts": [naming.host(DATABASE), f"{naming.host(DATABASE)}.cluster.local"],
        "cacheUrl": cache_url(cache).text,
        "labels": naming.labels(SERVER),
        "owned": settings.kubernetes.secret is None,
        "kept": stores.protected(settings),
    }
