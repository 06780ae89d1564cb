"""The bodies of database, cache, bucket, secrets and network, and what each service account may do."""

from __future__ import annotations

from typing import Any

import pytest

from mlflow_backend.bucket_root import ARTIFACTS
from mlflow_backend.gcp.render import cache, database, identity, network, secrets, storage
from mlflow_backend.gcp.root import GcsRoot
from mlflow_backend.server import cache_url
from tests import google_apis
from tests.components.cloudrun.stacks import KEY, NAMING, PROJECT, VARIANTS, changed

VPC = network.network_name(NAMING, "n")


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_body_is_taken(variant: str) -> None:
    """Every field is one of the API's own discovery document."""
    settings = changed(variant, {})
    for api, schema, body in (
        ("sqladmin.v1", "DatabaseInstance", database.instance(settings, NAMING, network=VPC)),
        ("redis.v1", "Instance", cache.instance(settings, NAMING, network=VPC)),
        ("storage.v1", "Bucket", storage.bucket(settings, NAMING, protect=True)),
        ("secretmanager.v1", "Secret", secrets.secret(settings, NAMING)),
        ("compute.v1", "Network", network.network(NAMING)),
        ("compute.v1", "Subnetwork", network.subnet(settings, NAMING, network=VPC)),
        ("compute.v1", "Address", network.services_range(NAMING, network=VPC)),
    ):
        assert google_apis.problems(api, schema, body) == [], schema


def test_the_database_is_private_encrypted_and_backed_up() -> None:
    """No public address, no connection without TLS, a backup a day and the log between them; deleting it is refused."""
    found = database.instance(changed("basic", {}), NAMING, network=VPC)["settings"]
    assert found["ipConfiguration"]["ipv4Enabled"] is False
    assert found["ipConfiguration"]["sslMode"] == "ENCRYPTED_ONLY"
    assert found["backupConfiguration"]["pointInTimeRecoveryEnabled"]
    assert (found["deletionProtectionEnabled"], found["retainBackupsOnDelete"]) == (True, True)


@pytest.mark.parametrize(
    ("backup", "logs", "kept"),
    [({"retentionDays": 0}, None, None), ({"retentionDays": 3}, 3, 3), ({"retentionDays": 30}, 7, 30), ({}, 7, 7)],
)
def test_backups_are_kept_as_long_as_asked(backup: dict[str, int], logs: int | None, kept: int | None) -> None:
    """The log between backups goes back seven days at most, which is Cloud SQL's own limit."""
    found = database.instance(changed("basic", {"backup": backup}), NAMING, network=VPC)["settings"][
        "backupConfiguration"
    ]
    assert found["enabled"] is (kept is not None)
    assert found.get("transactionLogRetentionDays") == logs
    assert found.get("backupRetentionSettings", {}).get("retainedBackups") == kept


def test_what_is_not_protected_can_be_deleted() -> None:
    """backup.protect is for all that holds data."""
    settings = changed("basic", {"backup": {"protect": False}})
    found = database.instance(settings, NAMING, network=VPC)["settings"]
    assert (found["deletionProtectionEnabled"], found["retainBackupsOnDelete"]) == (False, False)
    assert storage.bucket(settings, NAMING, protect=False)["softDeletePolicy"] == {"retentionDurationSeconds": "0"}


@pytest.mark.parametrize(("most", "grows"), [(None, False), (100, True)])
def test_storage_grows_only_if_asked(most: int | None, *, grows: bool) -> None:
    """Cloud SQL grows it by itself, for ever, unless told otherwise."""
    found = database.instance(changed("basic", {"gcp": {"database": {"maxStorage": most}}}), NAMING, network=VPC)[
        "settings"
    ]
    assert found["storageAutoResize"] is grows
    assert found.get("storageAutoResizeLimit") == (str(most) if most else None)


@pytest.mark.parametrize(("regional", "tier"), [(False, "BASIC"), (True, "STANDARD_HA")])
def test_the_cache_has_a_password_and_tls(tier: str, *, regional: bool) -> None:
    """Whoever is in the network is not let in without; a queue is never thrown away."""
    found = cache.instance(changed("basic", {"gcp": {"cache": {"regional": regional}}}), NAMING, network=VPC)
    assert (found["tier"], found["authEnabled"], found["transitEncryptionMode"]) == (
        tier,
        True,
        "SERVER_AUTHENTICATION",
    )
    assert found["redisConfigs"] == {"maxmemory-policy": "noeviction"}


def test_the_caches_url_names_its_certificates() -> None:
    """Each of MLflow's and our clients reads the URL alone: it says whom to trust, and no name is compared."""
    url = cache_url(cache.cache_address(changed("basic", {}), "10.1.0.4", 6378, ca="/etc/a/ca.pem"))
    assert url.text == "rediss://:{cache-auth}@10.1.0.4:6378/0?ssl_ca_certs=/etc/a/ca.pem&ssl_check_hostname=false"
    adopted = cache_url(cache.cache_address(changed("adopted", {}), "10.1.0.4", 6378, ca="/etc/a/ca.pem"))
    assert "?" not in adopted.text


def test_a_bucket_is_closed_and_keeps_what_was_overwritten() -> None:
    """No object is public, no list of its own grants anything, and nothing current expires."""
    found = storage.bucket(changed("basic", {"gcp": {"artifacts": {"key": KEY}}}), NAMING, protect=True)
    assert found["iamConfiguration"]["publicAccessPrevention"] == "enforced"
    assert found["versioning"] == {"enabled": True}
    assert found["encryption"] == {"defaultKmsKeyName": KEY}
    deleting = [each["condition"] for each in found["lifecycle"]["rule"] if each["action"]["type"] == "Delete"]
    assert deleting == [{"daysSinceNoncurrentTime": 90}]


def test_an_adopted_bucket_is_used_below_its_prefix() -> None:
    """Two backends may share one."""
    found = storage.store(changed("adopted", {}), NAMING)
    assert found.address(ARTIFACTS) == "gs://team-bucket/ml/flow/artifacts"


@pytest.mark.parametrize(
    ("variant", "there", "missing"),
    [
        ("basic", {"admin-password", "cache-url", "database-ca"}, {"api-keys"}),
        ("token", {"api-keys", "verification-api-key"}, {"admin-password"}),
        ("adopted", {"webhook-key"}, {"database-password", "cache-url", "database-admin-password"}),
    ],
)
def test_only_what_is_read_is_a_secret(variant: str, there: set[str], missing: set[str]) -> None:
    """Each value has a secret of its own; an adopted part's is its owner's."""
    found = set(secrets.names(changed(variant, {})))
    assert there <= found
    assert not found & missing


ROLES = {
    identity.SERVER: {identity.OBJECT_USER, identity.OBJECT_VIEWER, identity.SECRET_ACCESSOR},
    identity.DATABASE: {identity.OBJECT_USER, identity.OBJECT_VIEWER},
    identity.VERIFIER: {identity.OBJECT_VIEWER},
}


def test_an_account_has_roles_on_its_own_things_only() -> None:
    """No role is on the project, each on objects is narrowed to a prefix, and no other service's secrets are read."""
    store = GcsRoot(bucket="b", root="r")
    found = identity.grants(store, {identity.SERVER: ["one", "one", "two"]})
    assert {account: {each.role for each in found if each.account == account} for account in ROLES} == ROLES
    assert {each.kind for each in found} == {"bucket", "secret"}
    assert all(each.condition for each in found if each.kind == "bucket")
    assert [each.resource for each in found if each.kind == "secret"] == ["one", "two"]
    policy = {"version": 3, "bindings": [each.binding(NAMING) for each in found]}
    assert google_apis.problems("run.v2", "GoogleIamV1Policy", policy) == []


def test_the_server_does_not_write_the_stores_identity() -> None:
    """A server that could would hide that its store was exchanged."""
    artifacts, own, *_ = identity.grants(GcsRoot(bucket="b"), {})
    name = 'resource.name != "projects/_/buckets/b/objects/artifacts/.mlflow-backend-identity.json"'
    assert name in artifacts.condition
    assert own.role == identity.OBJECT_VIEWER


def test_every_quantity_is_counted() -> None:
    """A standby is billed as what it stands for."""
    rows: list[tuple[Any, str, dict[str, Any], list[float]]] = [
        (database, "gcp:sql/databaseInstance:DatabaseInstance", {"settings": {"tier": "t", "diskSize": 10}}, [1, 10]),
        (
            database,
            "gcp:sql/databaseInstance:DatabaseInstance",
            {"settings": {"tier": "t", "diskSize": 10, "availabilityType": "REGIONAL"}},
            [2, 20],
        ),
        (cache, "gcp:redis/instance:Instance", {"tier": "BASIC", "memorySizeGb": 2}, [2]),
        (cache, "gcp:redis/instance:Instance", {"tier": "STANDARD_HA", "memorySizeGb": 2}, [4]),
    ]
    for module, kind, inputs, amounts in rows:
        assert [each.amount for each in module.BILLING[kind].counted(inputs)] == amounts


def test_networks_are_named_in_their_project() -> None:
    """Cloud SQL and Memorystore take the resource's name."""
    assert f"projects/{PROJECT}/global/networks/n" == VPC
