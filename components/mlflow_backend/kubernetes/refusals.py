"""Settings that the target `kubernetes` cannot fulfil, refused before anything is touched. Pure.

Each refusal is a function that returns clauses, and all of them are said at once.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from mlflow_backend.kubernetes.naming import Naming
from mlflow_backend.settings.kubernetes import is_label
from mlflow_backend.settings.problems import shown_key
from mlflow_backend.settings.unfulfillable import of_backups, refuse_unfulfillable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from mlflow_backend.settings import Settings

_BY_DIGEST: Final = re.compile(r"\S+@sha256:[0-9a-f]{64}")


def refuse_unsupported(settings: Settings) -> None:
    """Raise Refused, with every finding, for settings that this target cannot fulfil: none is ignored."""
    refuse_unfulfillable("kubernetes", (finding for rule in RULES for finding in rule(settings)))


def naming_of(settings: Settings, *, project: str, stack: str, name: str = "mlflow") -> Naming:
    """Return what a stack's objects are called. Raises Refused for settings that this target cannot fulfil."""
    refuse_unsupported(settings)
    return Naming(
        project=project, stack=stack, name=name, namespace=settings.kubernetes.namespace, tags=dict(settings.tags)
    )


def cluster(settings: Settings) -> Iterator[str]:
    """The cluster is said, never taken from whatever context is current."""
    if settings.kubernetes.context is None:
        yield "kubernetes.context is missing, and the backend must not land in whatever cluster is current"


def image(settings: Settings) -> Iterator[str]:
    """Every pod of a revision runs the same image, whenever it is started."""
    if not _BY_DIGEST.fullmatch(settings.server.image or ""):
        yield "server.image is not named by its digest (REPOSITORY@sha256:...), and a tag may be another image tomorrow"


def access(settings: Settings) -> Iterator[str]:
    """MLflow's own users are the access mode that this target has."""
    if settings.access.mode in {"token", "cloudIdentity"}:
        yield f"access.mode is {settings.access.mode}, and this target has basic only"


def database(settings: Settings) -> Iterator[str]:
    """A created database has an image, an adopted one a Secret, and neither the other's settings."""
    wanted = settings.kubernetes.database
    if settings.database.mode == "create":
        if wanted.image is None:
            yield "kubernetes.database.image is missing for the created database"
        if wanted.secret is not None or wanted.ca is not None:
            yield "kubernetes.database.secret and ca are of an adopted database, and database.mode is create"
        if wanted.host_key is not None or wanted.administrator is not None or wanted.rds:
            yield (
                "kubernetes.database.hostKey, administrator and rds are of an adopted database, and database.mode is "
                "create"
            )
    else:
        if wanted.secret is None:
            yield "kubernetes.database.secret is missing for the adopted database"
        if wanted.rds and wanted.ca is not None:
            yield "kubernetes.database.ca and rds both name authorities for the database's certificate; take one"
        if wanted.image is not None:
            yield "kubernetes.database.image is of a created database, and database.mode is adopt"


def cache(settings: Settings) -> Iterator[str]:
    """The same of the cache."""
    wanted = settings.kubernetes.cache
    if settings.cache.mode == "create":
        if wanted.image is None:
            yield "kubernetes.cache.image is missing for the created cache"
        if wanted.secret is not None:
            yield "kubernetes.cache.secret is of an adopted cache, and cache.mode is create"
    else:
        if wanted.secret is None:
            yield "kubernetes.cache.secret is missing for the adopted cache"
        if wanted.image is not None:
            yield "kubernetes.cache.image is of a created cache, and cache.mode is adopt"


def artifacts(settings: Settings) -> Iterator[str]:
    """The bucket is somebody's already, and the ledger in it needs S3's conditional writes."""
    if settings.artifacts.mode != "adopt":
        yield "artifacts.mode is create, and no cluster makes buckets: adopt one"
    elif not (settings.artifacts.existing or "").startswith("s3://"):
        yield "artifacts.existing is not on S3, where this target keeps its ledger"


def ingress(settings: Settings) -> Iterator[str]:
    """An Ingress is for a host's name, and HTTPS needs a certificate."""
    url, wanted = settings.network.public_url, settings.kubernetes.ingress
    if url is None:
        if wanted.model_fields_set:
            yield "kubernetes.ingress is set, and there is no network.publicUrl to make an Ingress for"
        return
    host = str(urlsplit(url).hostname)
    if ":" in host or host.replace(".", "").isdigit():
        yield "network.publicUrl names an address, and an Ingress is for a name"
    if wanted.tls_secret is not None and urlsplit(url).scheme == "http":
        yield "network.publicUrl and kubernetes.ingress.tlsSecret disagree on HTTPS"


def network(settings: Settings) -> Iterator[str]:
    """The namespace is the network."""
    if settings.network.mode != "create":
        yield "network.mode is adopt, and the network of this target is the cluster's own"


def limits(settings: Settings) -> Iterator[str]:
    """What is set aside is not more than the limit."""
    wanted, server, stored = settings.kubernetes.server, settings.server, settings.kubernetes.database
    if wanted.cpu_request > (server.cpu or wanted.cpu_request):
        yield "kubernetes.server.cpuRequest is more than server.cpu"
    if wanted.memory_request > (server.memory or wanted.memory_request):
        yield "kubernetes.server.memoryRequest is more than server.memory"
    if stored.cpu_request > stored.cpu or stored.memory_request > stored.memory:
        yield "kubernetes.database sets aside more than its limit"


def not_here(settings: Settings) -> Iterator[str]:
    """Settings of what this target does not do."""
    if settings.release.soak_hours or settings.release.soak_source:
        yield "release.soakHours and soakSource are set, and no other stack's releases are taken over here"
    if settings.backup.retention_days is not None:
        yield "backup.retentionDays is set, and nothing backs up the database here"


def backups(settings: Settings) -> Iterator[str]:
    """Pods take them."""
    if settings.backup.destination is None and settings.kubernetes.backup.model_fields_set:
        yield "kubernetes.backup is set, and backup.destination is not"
    yield from of_backups(settings, scheme="s3", takers="pods")


def clients(settings: Settings) -> Iterator[str]:
    """A login is that of a user of the settings, and whoever reads Secrets in its namespace may not do everything."""
    wanted, access = settings.kubernetes.network, settings.access
    for namespace, name in wanted.published_logins.items():
        key, user = f"kubernetes.network.publishedLogins.{namespace}", access.users.get(name)
        if namespace not in wanted.published_to:
            yield f"{key} is set, and kubernetes.network.publishedTo does not name {namespace}"
        if access.mode == "none":
            yield f"{key} is set, and with access.mode none nobody logs in"
        elif user is None:
            yield f"{key} names {shown_key(name)}, who is not of access.users"
        elif user.admin:
            yield f"{key} names {shown_key(name)}, an administrator, and everybody who reads Secrets there would be one"


def tags(settings: Settings) -> Iterator[str]:
    """Tags become labels."""
    for key, value in settings.tags.items():
        if not is_label(key, value):
            yield f"tags.{shown_key(key)} is no label that Kubernetes takes"


RULES: tuple[Callable[[Settings], Iterator[str]], ...] = (
    cluster,
    image,
    access,
    database,
    cache,
    artifacts,
    ingress,
    network,
    limits,
    not_here,
    backups,
    clients,
    tags,
)
