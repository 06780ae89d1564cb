"""Stores that are adopted: those that serve, and each way in which one cannot, by Google's own documents."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from mlflow_backend.findings import Outcome
from mlflow_backend.gcp import existing

NETWORK = "projects/p/global/networks/shared"
LINK = f"https://www.googleapis.com/compute/v1/{NETWORK}"
DATABASE: dict[str, Any] = {
    "name": "team-db",
    "state": "RUNNABLE",
    "databaseVersion": "POSTGRES_16",
    "ipAddresses": [{"type": "PRIMARY", "ipAddress": "34.1.2.3"}, {"type": "PRIVATE", "ipAddress": "10.1.0.3"}],
    "settings": {"ipConfiguration": {"privateNetwork": NETWORK, "sslMode": "ENCRYPTED_ONLY"}},
}
CACHE: dict[str, Any] = {
    "name": "projects/p/locations/r/instances/team-cache",
    "host": "10.1.0.4",
    "authorizedNetwork": NETWORK,
    "transitEncryptionMode": "SERVER_AUTHENTICATION",
}
CLUSTER: dict[str, Any] = {
    "name": "projects/p/locations/r/clusters/team-cluster",
    "discoveryEndpoints": [{"address": "10.1.0.5"}],
    "authorizationMode": "AUTH_MODE_IAM_AUTH",
}
BUCKET: dict[str, Any] = {"name": "team", "iamConfiguration": {"uniformBucketLevelAccess": {"enabled": True}}}


def changed(document: dict[str, Any], path: str, value: Any) -> dict[str, Any]:
    """Return a document with another value at a path."""
    made = copy.deepcopy(document)
    *folders, name = path.split(".")
    part = made
    for folder in folders:
        part = part.setdefault(folder, {})
    part[name] = value
    return made


@pytest.mark.parametrize("network", [NETWORK, LINK])
def test_what_serves_is_adopted(network: str) -> None:
    """Each store as it has to be, its network by Google's name and by its link."""
    found = [
        existing.database("10.1.0.3", [DATABASE], network=network),
        existing.cache("10.1.0.4", [CACHE], [CLUSTER], network=network, tls=True),
        existing.bucket("team", BUCKET),
    ]
    assert [each.outcome for each in found] == [Outcome.PASS] * 3, found


@pytest.mark.parametrize("network", [NETWORK, None])
def test_what_is_elsewhere_is_not_judged(network: str | None) -> None:
    """A database or cache of nobody's in the project is shown as not looked at."""
    found = [
        existing.database("10.9.9.9", [DATABASE], network=network),
        existing.cache("10.9.9.9", [CACHE], [CLUSTER], network=network, tls=True),
    ]
    assert [each.outcome for each in found] == [Outcome.SKIP] * 2


@pytest.mark.parametrize(
    ("host", "path", "value", "said"),
    [
        ("34.1.2.3", "state", "RUNNABLE", "in public"),
        ("10.1.0.3", "settings.ipConfiguration.privateNetwork", f"{NETWORK}-other", f"{NETWORK}-other"),
        ("10.1.0.3", "settings.ipConfiguration.sslMode", "TRUSTED_CLIENT_CERTIFICATE_REQUIRED", "certificate"),
        ("10.1.0.3", "databaseVersion", "POSTGRES_18", "POSTGRES_18"),
        ("10.1.0.3", "databaseVersion", "MYSQL_8_0", "MYSQL_8_0"),
        ("10.1.0.3", "state", "SUSPENDED", "SUSPENDED"),
    ],
)
def test_a_database_that_cannot_serve_is_refused(host: str, path: str, value: Any, said: str) -> None:
    """Each reason alone, with the instance and what to do."""
    found = existing.database(host, [changed(DATABASE, path, value)], network=NETWORK)
    assert (found.outcome, found.prop) == (Outcome.FAIL, "database.existing")
    assert said in found.message
    assert "team-db" in found.message
    assert found.fix


@pytest.mark.parametrize(
    ("path", "value", "tls", "said"),
    [
        ("authorizedNetwork", f"{NETWORK}-other", True, f"{NETWORK}-other"),
        ("transitEncryptionMode", "DISABLED", True, "has no TLS"),
        ("transitEncryptionMode", "SERVER_AUTHENTICATION", False, "wants TLS"),
        ("redisConfigs", {"maxmemory-policy": "allkeys-lru"}, True, "allkeys-lru"),
    ],
)
def test_a_cache_that_cannot_serve_is_refused(path: str, value: Any, said: str, *, tls: bool) -> None:
    """Each reason alone."""
    found = existing.cache("10.1.0.4", [changed(CACHE, path, value)], [], network=NETWORK, tls=tls)
    assert (found.outcome, found.prop) == (Outcome.FAIL, "cache.existing")
    assert said in found.message
    assert found.fix


@pytest.mark.parametrize(("mode", "said"), [("AUTH_MODE_IAM_AUTH", "IAM tokens"), ("AUTH_MODE_DISABLED", "shards")])
def test_a_cluster_is_no_cache_for_mlflow(mode: str, said: str) -> None:
    """Its logins are short-lived tokens, and without them it is still no single server."""
    found = existing.cache("10.1.0.5", [CACHE], [{**CLUSTER, "authorizationMode": mode}], network=NETWORK, tls=True)
    assert found.outcome is Outcome.FAIL
    assert said in found.message


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (None, "not there"),
        ({"name": "team"}, "uniform access"),
        ({**BUCKET, "retentionPolicy": {"retentionPeriod": "60"}}, "for a time"),
        ({**BUCKET, "billing": {"requesterPays": True}}, "pay"),
    ],
)
def test_a_bucket_that_cannot_serve_is_refused(found: dict[str, Any] | None, said: str) -> None:
    """Each reason alone; roles with a condition are refused by Google where access lists are in force."""
    judged = existing.bucket("team", found)
    assert (judged.outcome, judged.prop) == (Outcome.FAIL, "artifacts.existing")
    assert said in judged.message
