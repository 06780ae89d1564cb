"""What the cloudrun target refuses at preview, in clauses that name the setting, the finding and the fix."""

from __future__ import annotations

from typing import Any

import pytest

from mlflow_backend.cloudrun.refusals import naming_of, refuse_unsupported
from mlflow_backend.contract import Refused
from tests.components.cloudrun.stacks import ADDED, GROUP, NUMBER, PROJECT, REGION, changed

SUBNET = f"projects/{PROJECT}/regions/{REGION}/subnetworks/run"


@pytest.mark.parametrize(
    ("variant", "changes", "key"),
    [
        ("basic", {"gcp": {"project": None}}, "gcp.project is missing"),
        ("basic", {"gcp": {"projectNumber": None}}, "gcp.projectNumber is missing"),
        ("basic", {"gcp": {"region": None}}, "gcp.region is missing"),
        ("basic", {"server": {"image": None}}, "server.image is missing"),
        ("basic", {"server": {"cpu": 512}}, "server.cpu is 512 units"),
        ("basic", {"server": {"cpu": 8192}}, "server.cpu is 8 CPU"),
        ("basic", {"server": {"cpu": 1024, "memory": 6144}}, "server.memory is 6144 MiB"),
        ("basic", {"server": {"memory": 800}}, "server.memory is 800 MiB"),
        ("basic", {"server": {"temporaryMib": 8192}}, "server.temporaryMib is 8192"),
        ("basic", {"server": {"temporaryMib": 64, "maxArtifactMib": 64}}, "256 are the least"),
        ("basic", {"server": {"maxArtifactMib": 4096}}, "server.maxArtifactMib is 4096"),
        ("basic", {"gcp": {"service": {"minInstances": 2}}}, "gcp.service.minInstances is 2"),
        ("jobs", {"gcp": {"service": {"minInstances": 0}}}, "gcp.service.minInstances is 0"),
        ("basic", {"access": {"mode": "cloudIdentity"}}, "gcp.access.identity is missing"),
        ("both", {"gcp": {"access": {"secondHeader": None}}}, "X-Serverless-Authorization"),
        ("both", {"gcp": {"access": {"secondHeader": None, "identity": "iap"}}}, "Proxy-Authorization"),
        ("basic", {"gcp": {"access": {"secondHeader": True}}}, "only one check reads a header"),
        ("iap", {"gcp": {"network": {"ingress": "internal"}}}, "gcp.network.ingress is internal"),
        ("iam", {"gcp": {"access": {"principals": None}}}, "gcp.access.principals is empty"),
        ("basic", {"gcp": {"access": {"principals": GROUP}}}, "gcp.access.principals is set"),
        ("basic", {"network": {"publicUrl": "http://mlflow.example.com"}}, "network.publicUrl is not https://HOST"),
        (
            "basic",
            {"network": {"publicUrl": "https://mlflow.example.com:8443"}},
            "network.publicUrl is not https://HOST",
        ),
        ("jobs", {"scaling": {"maxReplicas": 2}, "database": {"maxConnections": 400}}, "2 instances"),
        ("basic", {"gcp": {"network": {"subnet": SUBNET}}}, "network.mode is create"),
        ("adopted", {"gcp": {"network": {"subnet": None}}}, "gcp.network.subnet is missing"),
        ("adopted", {"gcp": {"network": {"cidr": "10.0.0.0/24"}}}, "gcp.network.cidr shapes"),
        ("basic", {"gcp": {"database": {"secret": f"{ADDED}/x/versions/1"}}}, "database.mode is create"),
        ("basic", {"gcp": {"database": {"maxStorage": 10}}}, "gcp.database.maxStorage is not more"),
        ("adopted", {"gcp": {"database": {"secret": None}}}, "gcp.database.secret is missing"),
        ("adopted", {"gcp": {"database": {"tier": "db-custom-2-7680"}}}, "gcp.database.tier sizes"),
        ("basic", {"gcp": {"cache": {"ca": f"{ADDED}/x/versions/1"}}}, "cache.mode is create"),
        ("adopted", {"gcp": {"cache": {"secret": None}}}, "gcp.cache.secret is missing"),
        ("adopted", {"gcp": {"cache": {"memory": 2}}}, "gcp.cache.memory sizes"),
        ("adopted", {"artifacts": {"existing": "s3://bucket/x"}}, "artifacts.existing is not in Cloud Storage"),
        ("adopted", {"gcp": {"artifacts": {"oldVersionDays": 3}}}, "shapes a created bucket"),
        ("backups", {"backup": {"destination": "s3://elsewhere/team"}}, "backup.destination is not in Cloud Storage"),
        ("backups", {"backup": {"destination": "/mnt/backups"}}, "backup.destination is not in Cloud Storage"),
        ("backups", {"backup": {"drillSchedule": "0 4 * * 0"}}, "backup.drillSchedule is set"),
    ],
)
def test_what_cloud_run_cannot_do_is_refused(variant: str, changes: dict[str, Any], key: str) -> None:
    """Each refusal names the setting and what stands against it."""
    with pytest.raises(Refused) as caught:
        refuse_unsupported(changed(variant, changes))
    assert key in str(caught.value)


def test_a_backend_is_named_by_its_settings() -> None:
    """Project, number and region are the stack's own."""
    naming = naming_of(changed("basic", {}), project="shop", stack="gcp")
    assert (naming.project, naming.number, naming.region) == (PROJECT, NUMBER, REGION)
    assert naming.url() == f"https://shop-gcp-mlflow-{NUMBER}.{REGION}.run.app"
