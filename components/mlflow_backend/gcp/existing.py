"""Stores that a backend adopts, and the bucket of its backups, held to what is needed of them before anything is made.

A store is found by the address that the settings give: an instance of Cloud SQL or Memorystore in the project. One
that is elsewhere is its owner's, and is not looked at.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from mlflow_backend.contract import PlatformFailed
from mlflow_backend.findings import failed, passed, skipped
from mlflow_backend.gcp.api import REDIS, SQL, STORAGE
from mlflow_backend.gcp.render.backups import destination
from mlflow_backend.gcp.render.database import VERSION
from mlflow_backend.gcp.render.storage import store

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping

    from mlflow_backend.findings import Finding
    from mlflow_backend.gcp.api import Api
    from mlflow_backend.gcp.naming import Naming
    from mlflow_backend.settings import Settings

_DATABASE, _CACHE, _ARTIFACTS = "database.existing", "cache.existing", "artifacts.existing"
_DESTINATION: Final = "backup.destination"
_POSTGRES: Final = re.compile(r"POSTGRES_(\d+)")


def check(settings: Settings, naming: Naming, api: Api) -> tuple[Finding, ...]:
    """Return what was found of each store that is adopted, and of the bucket of backups."""
    return (
        *_database(settings, naming, api),
        *_cache(settings, naming, api),
        *_bucket(settings, naming, api),
        *_destination(settings, naming, api),
    )


def _database(settings: Settings, naming: Naming, api: Api) -> Iterator[Finding]:
    host = _host(settings.database.existing)
    if host is None:
        return
    try:
        instances = list(api.pages(SQL, f"v1/projects/{naming.project}/instances", "items"))
    except PlatformFailed as error:
        yield skipped("database", _DATABASE, f"the project's instances could not be asked for: {error.finding}.")
        return
    yield database(host, instances, network=settings.network.existing)


def _cache(settings: Settings, naming: Naming, api: Api) -> Iterator[Finding]:
    host = _host(settings.cache.existing)
    if host is None:
        return
    try:
        instances = list(api.pages(REDIS, f"v1/{naming.parent}/instances", "instances"))
        clusters = list(api.pages(REDIS, f"v1/{naming.parent}/clusters", "clusters"))
    except PlatformFailed as error:
        yield skipped("cache", _CACHE, f"the project's caches could not be asked for: {error.finding}.")
        return
    tls = urlsplit(str(settings.cache.existing)).scheme == "rediss"
    yield cache(host, instances, clusters, network=settings.network.existing, tls=tls)


def _bucket(settings: Settings, naming: Naming, api: Api) -> Iterator[Finding]:
    if settings.artifacts.existing is not None:
        yield _asked(api, "artifacts", _ARTIFACTS, store(settings, naming).bucket, bucket)


def _destination(settings: Settings, naming: Naming, api: Api) -> Iterator[Finding]:
    if settings.backup.destination is not None:
        yield _asked(api, "backups", _DESTINATION, destination(settings, naming.stack).bucket, backups)


def _asked(
    api: Api, check: str, prop: str, name: str, judged: Callable[[str, Mapping[str, Any] | None], Finding]
) -> Finding:
    try:
        return judged(name, api.get(STORAGE, f"storage/v1/b/{name}"))
    except PlatformFailed as error:
        return skipped(check, prop, f"the bucket {name} could not be asked for: {error.finding}.")


def database(host: str, instances: Iterable[Mapping[str, Any]], *, network: str | None) -> Finding:
    """Return whether the instance at an address serves; `network` is the adopted one, None for one that is made."""
    for instance in instances:
        kinds = {each["ipAddress"]: each.get("type") for each in instance.get("ipAddresses", [])}
        if host in kinds:
            problem = _of_instance(instance, str(kinds[host]), network)
            return _judged("database", _DATABASE, f"the instance {instance['name']}", problem)
    return skipped("database", _DATABASE, f"no instance of Cloud SQL in the project has the address {host}.")


def cache(
    host: str,
    instances: Iterable[Mapping[str, Any]],
    clusters: Iterable[Mapping[str, Any]],
    *,
    network: str | None,
    tls: bool,
) -> Finding:
    """Return whether the cache at an address serves; `tls` says that the settings' URL asks for it."""
    for cluster in clusters:
        if host in {each.get("address") for each in cluster.get("discoveryEndpoints", [])}:
            return _judged("cache", _CACHE, f"the cluster {_short(cluster)}", _of_cluster(cluster))
    for instance in instances:
        if host == instance.get("host"):
            return _judged("cache", _CACHE, f"the instance {_short(instance)}", _of_cache(instance, network, tls=tls))
    return skipped("cache", _CACHE, f"no Memorystore for Redis in the region has the address {host}.")


def bucket(name: str, found: Mapping[str, Any] | None) -> Finding:
    """Return whether a bucket serves; None for one that is not there."""
    return _judged("artifacts", _ARTIFACTS, f"the bucket {name}", _of_bucket(name, found))


def backups(name: str, found: Mapping[str, Any] | None) -> Finding:
    """Return whether a bucket takes backups; None for one that is not there. It may keep each object for a time."""
    problem = _unusable(name, found)
    return _judged("backups", _DESTINATION, f"the bucket {name}", problem, good="takes backups")


def _judged(
    check: str, prop: str, part: str, problem: tuple[str, str, str] | None, *, good: str = "can be adopted"
) -> Finding:
    if problem is None:
        return passed(check, prop, f"{part} {good}.")
    said, fix, command = problem
    return failed(check, prop, f"{part} {said}.", fix, command)


def _of_instance(instance: Mapping[str, Any], kind: str, network: str | None) -> tuple[str, str, str] | None:
    name, wanted = instance["name"], instance.get("settings", {}).get("ipConfiguration", {})
    version, newest = _POSTGRES.match(str(instance.get("databaseVersion"))), _POSTGRES.match(VERSION)
    if kind != "PRIVATE":
        return (
            "has this address in public, and servers reach private ones only",
            "Give it a private address in the adopted network, and name that.",
            f"gcloud sql instances patch {name} --network NETWORK --no-assign-ip",
        )
    if not _same_network(wanted.get("privateNetwork"), network):
        return (
            f"has its private address in {wanted.get('privateNetwork')}, which is not the servers' network",
            "Adopt that network (network.mode, network.existing).",
            "",
        )
    if wanted.get("sslMode") == "TRUSTED_CLIENT_CERTIFICATE_REQUIRED":
        return (
            "wants a client's certificate, and servers log in by password",
            "Let it ask for TLS alone.",
            f"gcloud sql instances patch {name} --ssl-mode ENCRYPTED_ONLY",
        )
    if version is None or newest is None or int(version[1]) > int(newest[1]):
        return (
            f"is {instance.get('databaseVersion')}, and the image's programs dump and restore Postgres up to {VERSION}",
            "Adopt an older one.",
            "",
        )
    if instance.get("state", "RUNNABLE") != "RUNNABLE":
        return f"is {instance['state']}", "Bring it back first.", f"gcloud sql instances describe {name}"
    return None


def _of_cluster(cluster: Mapping[str, Any]) -> tuple[str, str, str]:
    if cluster.get("authorizationMode") == "AUTH_MODE_IAM_AUTH":
        said = "takes IAM tokens only, which last an hour, and MLflow's URL of a cache holds one password for ever"
    else:
        said = "spreads its keys over shards, and MLflow's client of its job queue speaks to one server"
    return said, "Adopt an instance of Memorystore for Redis, or let the stack make one (cache.mode: create).", ""


def _of_cache(instance: Mapping[str, Any], network: str | None, *, tls: bool) -> tuple[str, str, str] | None:
    if not _same_network(instance.get("authorizedNetwork"), network):
        return (
            f"is reached from {instance.get('authorizedNetwork')}, which is not the servers' network",
            "Adopt that network (network.mode, network.existing).",
            "",
        )
    if tls is not (instance.get("transitEncryptionMode") == "SERVER_AUTHENTICATION"):
        right = "redis" if tls else "rediss"
        return f"{'has no' if tls else 'wants'} TLS", f"Name it by {right}://, here and in gcp.cache.secret.", ""
    policy = str(instance.get("redisConfigs", {}).get("maxmemory-policy", ""))
    # The other policies throw away what has a time to live, and jobs in the queue have none.
    if policy.startswith("allkeys"):
        return (
            f"throws any entry away when it is full (maxmemory-policy {policy}), also jobs that wait in the queue",
            "Set another policy.",
            f"gcloud redis instances update {_short(instance)} --update-redis-config maxmemory-policy=noeviction",
        )
    return None


def _of_bucket(name: str, found: Mapping[str, Any] | None) -> tuple[str, str, str] | None:
    if found is not None and "retentionPolicy" in found:
        return (
            "keeps every object for a time, and the backend replaces and deletes its locks and reports",
            "Name a bucket without a retention policy.",
            "",
        )
    return _unusable(name, found)


def _unusable(name: str, found: Mapping[str, Any] | None) -> tuple[str, str, str] | None:
    """Return why no job of ours can use a bucket."""
    if found is None:
        return "is not there", "Name one that is.", f"gcloud storage buckets describe gs://{name}"
    if not found.get("iamConfiguration", {}).get("uniformBucketLevelAccess", {}).get("enabled"):
        return (
            "has access lists of its own, and roles on a part of it need uniform access",
            "Make its access uniform.",
            f"gcloud storage buckets update gs://{name} --uniform-bucket-level-access",
        )
    if found.get("billing", {}).get("requesterPays"):
        return (
            "lets callers pay, and these calls name no project",
            "Let its owner pay.",
            f"gcloud storage buckets update gs://{name} --no-requester-pays",
        )
    return None


def _host(existing: str | None) -> str | None:
    return None if existing is None else str(urlsplit(existing).hostname)


def _same_network(name: Any, network: str | None) -> bool:
    """Whether a network is the adopted one; Google gives it by its name and by its link."""
    return network is not None and str(name).partition("projects/")[2] == network.partition("projects/")[2]


def _short(resource: Mapping[str, Any]) -> str:
    return str(resource["name"]).rpartition("/")[2]
