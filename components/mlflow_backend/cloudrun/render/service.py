"""The Cloud Run service: its template, its scaling, and which revision has the traffic. Pure."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.cloudrun.render import access, containers, front
from mlflow_backend.cloudrun.render.containers import SPOOL, TEMPORARY, Body
from mlflow_backend.cloudrun.render.inputs import inputs_of
from mlflow_backend.cloudrun.render.size import (
    FRONT_CPUS,
    FRONT_MIB,
    TEMPORARY_MIB,
    always_has_cpu,
    server_size,
)
from mlflow_backend.gcp.render import storage
from mlflow_backend.gcp.render.identity import SERVER
from mlflow_backend.gcp.render.secrets import secret_versions
from mlflow_backend.report.quantities import HOUR, Billing, Inputs, Quantity, number, product
from mlflow_backend.server import describe
from mlflow_backend.settings.budget import most_replicas

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from mlflow_backend.gcp.naming import Naming
    from mlflow_backend.gcp.render.secrets import SecretVersion
    from mlflow_backend.server import ServerDescription
    from mlflow_backend.settings import Settings

VERSION_LABEL: Final = "mlflow-version"
RELEASE_LABEL: Final = "mlflow-backend-release"
INGRESS: Final[Mapping[str, str]] = {
    "all": "INGRESS_TRAFFIC_ALL",
    "internal": "INGRESS_TRAFFIC_INTERNAL_ONLY",
    "internalAndLoadBalancer": "INGRESS_TRAFFIC_INTERNAL_LOAD_BALANCER",
}
# Cloud Run's own time for a request is the server's and this, so that the server is the one that says no.
_REQUEST_MARGIN_S: Final = 10
_LONGEST_REQUEST_S: Final = 3600
_LIVENESS_FAILURES: Final = 3
_READINESS_FAILURES: Final = 2
_DIGEST_LENGTH: Final = 16


@dataclass(frozen=True, kw_only=True)
class Surroundings:
    """What Google has drawn by the time that a revision is rendered. `secrets` are by name, each at its version."""

    image: str
    database: str
    cache: str
    cache_port: int
    network: str
    subnet: str
    secrets: Mapping[str, SecretVersion]


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Which revision serves, and which others are addressed by a tag of their own: `kept` is tag -> revision.

    `first` is the tag of a first deployment's revision. It cannot be named yet, and is the latest; nobody else serves.
    """

    serving: str | None = None
    first: str | None = None
    kept: Mapping[str, str] = field(default_factory=dict)


def service(settings: Settings, naming: Naming, surroundings: Surroundings, *, release: str, traffic: Traffic) -> Body:
    """Return the body of the service. Raises Refused for what the MLflow version cannot do, ValueError for its size."""
    return {
        **shell(settings, naming),
        "template": template(settings, naming, surroundings, release=release),
        "traffic": targets(traffic),
    }


def shell(settings: Settings, naming: Naming) -> Body:
    """Return what of the service is no revision's."""
    return {
        "labels": naming.labels(settings.tags),
        "ingress": INGRESS[settings.gcp.network.ingress],
        **access.of_service(settings),
        # The mode is said, because a migration may have left the other one.
        "scaling": {"scalingMode": "AUTOMATIC", **scaling(settings)},
    }


def scaling(settings: Settings) -> dict[str, int]:
    """Return the instances of the whole service. Both are always said: what is left out, Google fills in."""
    wanted = settings.gcp.service.min_instances
    return {
        "minInstanceCount": settings.server.replicas if wanted is None else wanted,
        "maxInstanceCount": most_replicas(settings),
    }


def template(
    settings: Settings, naming: Naming, surroundings: Surroundings, *, release: str, failed: Collection[str] = ()
) -> Body:
    """Return the template of a release's revision; `failed` are the revisions that never started."""
    drawn = revision_digest(settings, naming, surroundings, release=release, failed=failed)
    return {
        "revision": naming.revision(drawn),
        # Never the stack's tags: another one would be another revision.
        "labels": {VERSION_LABEL: version_label(settings), RELEASE_LABEL: release},
        # Never a minimum of the revision's own: it would run, and be billed, with a tag or without traffic, for ever.
        # Zero is said, so that one that somebody set is taken away.
        "scaling": {"minInstanceCount": 0, "maxInstanceCount": most_replicas(settings)},
        **_instance(settings, naming, surroundings, tag=naming.tag(drawn)),
    }


def _instance(settings: Settings, naming: Naming, found: Surroundings, *, tag: str) -> Body:
    """Return what each instance of a revision is; `tag` is the one at whose address it may be asked."""
    size, server = server_size(settings), _described(settings, naming, found, tag=tag)
    volumes, mounts = containers.certificates(found.secrets)
    return {
        "serviceAccount": naming.email(SERVER),
        "executionEnvironment": "EXECUTION_ENVIRONMENT_GEN2",
        "timeout": f"{min(settings.server.request_timeout + _REQUEST_MARGIN_S, _LONGEST_REQUEST_S)}s",
        "maxInstanceRequestConcurrency": settings.gcp.service.concurrency,
        "vpcAccess": containers.vpc_access(network=found.network, subnet=found.subnet, tag=naming.service()),
        "volumes": [
            *volumes,
            containers.memory_volume("spool", size.spool_mib),
            containers.memory_volume("tmp", TEMPORARY_MIB),
        ],
        "containers": [
            _front(settings, server, image=found.image),
            _server(settings, server, found, mounts=mounts),
        ],
    }


def version_label(settings: Settings) -> str:
    """Return the MLflow version as a label has it, which takes no dots."""
    return settings.server.mlflow_version.replace(".", "_")


def targets(traffic: Traffic) -> list[Body]:
    """Return the traffic: all of it to one revision, and none to those that have a tag only.

    In the first deployment no revision can be named, because none is there yet: the latest serves, nobody else does.
    """
    if traffic.serving is None:
        latest = {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100}
        return [latest if traffic.first is None else {**latest, "tag": traffic.first}]
    found = [_to(traffic.serving, percent=100)]
    return [*found, *({**_to(revision, percent=0), "tag": tag} for tag, revision in sorted(traffic.kept.items()))]


def release_identity(settings: Settings, naming: Naming) -> str:
    """Return the identity of the release that settings describe.

    A digest over exactly what an instance is given. What Google draws has a name of its own in it: addresses and
    versions of secrets are known after the first update only, and are no other release. Nor is another number of
    instances, as on every target.
    """
    drawn = Surroundings(
        image=settings.server.image or "",
        database=settings.database.existing or "database",
        cache=settings.cache.existing or "cache",
        cache_port=0,
        network="network",
        subnet="subnet",
        secrets=secret_versions(settings, naming, {}),
    )
    return _digest([version_label(settings), _instance(settings, naming, drawn, tag="")])


def revision_digest(
    settings: Settings, naming: Naming, surroundings: Surroundings, *, release: str, failed: Collection[str] = ()
) -> str:
    """Return what names the revision of a release: the versions of its secrets and its most instances are its own.

    A revision that never started has its name for ever, and Google does not start it again: the next attempt at the
    same release has another name.
    """
    variables = _described(settings, naming, surroundings, tag="").secret_environment
    used = [*containers.environment_secrets(variables, surroundings.secrets).values()]
    used += [surroundings.secrets[part] for part in containers.certificates(surroundings.secrets)[1]]
    return digest_of(release, most_replicas(settings), used, naming=naming, failed=failed)


def digest_of(
    release: str, most: int, used: Iterable[SecretVersion], *, naming: Naming, failed: Collection[str]
) -> str:
    """Return what names the revision of a release with so many instances at most, which is given these secrets."""
    drawn = [release, most, sorted((each.secret, each.version) for each in used)]
    attempts = (_digest(drawn if number == 0 else [*drawn, number]) for number in count())
    return next(each for each in attempts if naming.revision(each) not in failed)


def _described(settings: Settings, naming: Naming, found: Surroundings, *, tag: str) -> ServerDescription:
    return describe(
        inputs_of(
            settings,
            naming,
            tag=tag,
            database=found.database,
            cache=found.cache,
            cache_port=found.cache_port,
            store=storage.store(settings, naming),
        )
    )


def _front(settings: Settings, server: ServerDescription, *, image: str) -> Body:
    body = containers.container(
        front.FRONT,
        image,
        front.COMMAND,
        cpus=FRONT_CPUS,
        memory_mib=FRONT_MIB,
        environment=front.environment(server_port=server.port, workers=settings.server.workers, cpus=FRONT_CPUS),
    )
    return {
        **body,
        "resources": _resources(body, settings),
        "ports": [{"name": "h2c", "containerPort": front.PORT}],
        "dependsOn": [SERVER],
        "startupProbe": {
            "tcpSocket": {"port": front.PORT},
            "periodSeconds": 2,
            "timeoutSeconds": 1,
            "failureThreshold": 30,
        },
        # A failing one gets no new request and is not killed: a database away for two minutes must restart nothing.
        "readinessProbe": containers.http_probe(server.readiness, port=front.PORT, failures=_READINESS_FAILURES),
    }


def _server(settings: Settings, server: ServerDescription, found: Surroundings, *, mounts: Mapping[str, str]) -> Body:
    size = server_size(settings)
    body = containers.container(
        SERVER,
        found.image,
        server.argv,
        cpus=size.cpus,
        memory_mib=size.memory_mib,
        environment={**server.environment, **containers.database_tls(found.secrets), "TMPDIR": SPOOL},
        secrets=containers.environment_secrets(server.secret_environment, found.secrets),
        mounts={**mounts, "spool": SPOOL, "tmp": TEMPORARY},
    )
    startup = containers.http_probe(
        server.readiness, port=server.port, failures=containers.LONGEST_START_S // server.readiness.interval_s
    )
    return {
        **body,
        "resources": {**_resources(body, settings), "startupCpuBoost": True},
        "startupProbe": startup,
        "livenessProbe": containers.http_probe(server.liveness, port=server.port, failures=_LIVENESS_FAILURES),
    }


def _resources(body: Body, settings: Settings) -> Body:
    return {**body["resources"], "cpuIdle": not always_has_cpu(settings)}


def _to(revision: str, *, percent: int) -> Body:
    return {"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": revision, "percent": percent}


def _billed(inputs: Inputs) -> Iterator[Quantity]:
    """Count what stays warm, which is billed whether anybody calls or not."""
    warm = number((inputs.get("scaling") or {}).get("minInstanceCount"))
    limits = [_limits(each) for each in (inputs.get("template") or {}).get("containers", [])]
    cpus = sum(cpu for cpu, _ in limits)
    memory = sum(gib for _, gib in limits)
    yield Quantity("cloudrun-vcpu", "Cloud Run vCPU of warm instances", "vCPU", HOUR, product(warm, cpus))
    yield Quantity("cloudrun-memory", "Cloud Run memory of warm instances", "GiB", HOUR, product(warm, memory))


def _limits(container: Mapping[str, Any]) -> tuple[float, float]:
    limits = (container.get("resources") or {}).get("limits") or {}
    return float(limits.get("cpu", 0)), float(str(limits.get("memory", "0Mi")).removesuffix("Mi")) / 1024


BILLING: Final[Mapping[str, Billing]] = {
    "gcp:cloudrunv2/service:Service": Billing(
        counted=_billed,
        by_use=("Cloud Run instances beyond the warm ones", "requests to Cloud Run", "data out of the region"),
    ),
    "gcp:cloudrunv2/job:Job": Billing(by_use=("one-shot jobs",)),
}


def _digest(document: object) -> str:
    return hashlib.sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:_DIGEST_LENGTH]
