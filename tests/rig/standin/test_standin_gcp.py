"""The stand-in `gcp` provider against the rig: each type made, unchanged, changed, imported, deleted, refused."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.components.cloudrun.recording import record
from tests.rig.clock import TINY
from tests.rig.gcp.rig import NUMBER, PROJECT, REGION, GcpRig
from tests.rig.gcp.scene import Scene
from tests.rig.standin.base import Gone, HalfMade, Refused, Resource
from tests.rig.standin.gcp.api import Api
from tests.rig.standin.gcp.kinds import KINDS, OWN, Document, Special
from tests.rig.standin.gcp.provider import Gcp
from tests.rig.standin.sdk import Sdk
from tests.rig.standin.values import UNKNOWN

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

VPC = f"projects/{PROJECT}/global/networks/n"
ACCOUNT = f"server-account@{PROJECT}.iam.gserviceaccount.com"
MEMBER = f"serviceAccount:{ACCOUNT}"
SERVICE, JOB = "gcp:cloudrunv2/service:Service", "gcp:cloudrunv2/job:Job"
BUCKET, SECRET = "gcp:storage/bucket:Bucket", "gcp:secretmanager/secret:Secret"
POLICY = "gcp:monitoring/alertPolicy:AlertPolicy"
INSTANCE, CACHE = "gcp:sql/databaseInstance:DatabaseInstance", "gcp:redis/instance:Instance"
LABELS = {"project": "shop"}
ANY, TEMPORARY = "0.0.0.0", "/tmp"  # noqa: S104, S108 - a container's own


@pytest.fixture(scope="module")
def gcp(containers: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GcpRig]:
    """Emulated Google Cloud, empty."""
    with GcpRig(tmp_path_factory.mktemp("gcp"), TINY) as made:
        yield made


@pytest.fixture(scope="module")
def provider(gcp: GcpRig) -> Gcp:
    """The provider of the rig's project."""
    administrator = gcp.tokens.administrator
    api = Api(root=lambda host: f"http://{gcp.address}/{host}/", token=lambda: gcp.tokens.access(administrator))
    made = Gcp(Sdk("pulumi_gcp"), api)
    made.configure({"project": PROJECT, "region": REGION})
    return made


def template(image: str, **variables: str) -> dict[str, Any]:
    """Return a template of the tiny server, as the provider spells it."""
    return {
        "serviceAccount": ACCOUNT, "revision": f"tiny-r{len(variables)}",
        "scaling": {"minInstanceCount": 0, "maxInstanceCount": 2}, "timeout": "60s",
        "containers": [{
            "name": "server", "image": image, "commands": ["mlflow"],
            "args": ["server", "--host", ANY, "--port", "8080"],
            "envs": [{"name": key, "value": each} for key, each in sorted(variables.items())],
            "ports": {"containerPort": 8080}, "resources": {"limits": {"cpu": "1", "memory": "512Mi"}},
            "volumeMounts": [{"name": "tmp", "mountPath": TEMPORARY}],
            "startupProbe": {"httpGet": {"path": "/health"}, "periodSeconds": 10, "failureThreshold": 24},
        }],
        "volumes": [{"name": "tmp", "emptyDir": {"medium": "MEMORY", "sizeLimit": "64Mi"}}],
    }  # fmt: skip


def wanted(image: str) -> list[tuple[str, dict[str, Any]]]:
    """Return a whole backend's resources in the order of their making."""
    container = {"name": "tool", "image": image, "commands": ["true"]}
    return [
        (Special.SERVICE, {"service": "run.googleapis.com", "disableOnDestroy": False}),
        ("gcp:compute/network:Network", {"name": "n", "autoCreateSubnetworks": False, "routingMode": "REGIONAL"}),
        ("gcp:compute/subnetwork:Subnetwork", {
            "name": "s", "region": REGION, "network": VPC, "ipCidrRange": "10.0.0.0/24", "privateIpGoogleAccess": True,
        }),
        ("gcp:compute/globalAddress:GlobalAddress", {
            "name": "r", "purpose": "VPC_PEERING", "addressType": "INTERNAL", "prefixLength": 20, "network": VPC,
        }),
        (Special.CONNECTION, {
            "network": VPC, "service": "servicenetworking.googleapis.com", "reservedPeeringRanges": ["r"],
            "deletionPolicy": "REMOVE_PEERING",
        }),
        ("gcp:serviceaccount/account:Account", {"accountId": "server-account", "displayName": "Server"}),
        (BUCKET, {
            "name": "team-standin", "location": REGION.upper(), "storageClass": "STANDARD", "labels": LABELS,
            "uniformBucketLevelAccess": True, "publicAccessPrevention": "enforced", "versioning": {"enabled": True},
            "softDeletePolicy": {"retentionDurationSeconds": 0}, "forceDestroy": True,
            "lifecycleRules": [
                {"action": {"type": "Delete"}, "condition": {"daysSinceNoncurrentTime": 30}},
                {"action": {"type": "AbortIncompleteMultipartUpload"}, "condition": {"age": 7}},
            ],
        }),
        ("gcp:storage/bucketIAMMember:BucketIAMMember", {
            "bucket": "team-standin", "role": "roles/storage.objectUser", "member": MEMBER,
            "condition": {"title": "a", "expression": 'resource.name.startsWith("projects/_/buckets/team-standin/a")'},
        }),
        (SECRET, {
            "secretId": "standin", "labels": LABELS, "deletionProtection": False,
            "replication": {"userManaged": {"replicas": [{"location": REGION}]}},
        }),
        ("gcp:secretmanager/secretIamMember:SecretIamMember", {
            "secretId": "standin", "role": "roles/secretmanager.secretAccessor", "member": MEMBER,
        }),
        (INSTANCE, {
            "name": "d", "region": REGION, "databaseVersion": "POSTGRES_17", "deletionProtection": False,
            "settings": {
                "tier": "db-custom-1-3840", "edition": "ENTERPRISE", "diskSize": 10, "diskType": "PD_SSD",
                "diskAutoresize": False, "deletionProtectionEnabled": False, "userLabels": LABELS,
                "backupConfiguration": {
                    "enabled": True, "pointInTimeRecoveryEnabled": True, "transactionLogRetentionDays": 7,
                    "backupRetentionSettings": {"retentionUnit": "COUNT", "retainedBackups": 7},
                },
                "ipConfiguration": {"ipv4Enabled": False, "privateNetwork": VPC, "sslMode": "ENCRYPTED_ONLY"},
                "databaseFlags": [{"name": "max_connections", "value": "50"}],
            },
        }),
        (CACHE, {
            "name": "c", "region": REGION, "tier": "BASIC", "memorySizeGb": 1, "redisVersion": "REDIS_7_2",
            "authorizedNetwork": VPC, "connectMode": "PRIVATE_SERVICE_ACCESS", "authEnabled": True,
            "transitEncryptionMode": "SERVER_AUTHENTICATION", "redisConfigs": {"maxmemory-policy": "noeviction"},
            "labels": LABELS,
        }),
        (JOB, {
            "name": "tiny", "location": REGION, "deletionProtection": False,
            "template": {"taskCount": 1, "template": {
                "serviceAccount": ACCOUNT, "containers": [container], "maxRetries": 0, "timeout": "60s",
            }},
        }),
        ("gcp:cloudrunv2/jobIamMember:JobIamMember", {
            "name": "tiny", "location": REGION, "role": "roles/run.invoker", "member": MEMBER,
        }),
        ("gcp:cloudscheduler/job:Job", {
            "name": "tiny", "region": REGION, "schedule": "0 2 * * *", "timeZone": "Etc/UTC", "description": "backup",
            "retryConfig": {"retryCount": 3, "minBackoffDuration": "60s"},
            "httpTarget": {
                "httpMethod": "POST",
                "uri": f"https://run.googleapis.com/v2/projects/{PROJECT}/locations/{REGION}/jobs/tiny:run",
                "oauthToken": {
                    "serviceAccountEmail": ACCOUNT, "scope": "https://www.googleapis.com/auth/cloud-platform",
                },
            },
        }),
        (SERVICE, {
            "name": "tiny", "location": REGION, "deletionProtection": False, "labels": LABELS,
            "ingress": "INGRESS_TRAFFIC_ALL", "invokerIamDisabled": False, "iapEnabled": False,
            "scaling": {"minInstanceCount": 0, "maxInstanceCount": 2}, "template": template(image),
            "traffics": [{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_LATEST", "percent": 100, "tag": "r0"}],
        }),
        ("gcp:cloudrunv2/serviceIamBinding:ServiceIamBinding", {
            "name": "tiny", "location": REGION, "role": "roles/run.invoker", "members": [MEMBER],
        }),
        ("gcp:iap/webCloudRunServiceIamBinding:WebCloudRunServiceIamBinding", {
            "cloudRunServiceName": "tiny", "location": REGION, "role": "roles/iap.httpsResourceAccessor",
            "members": ["user:a@example.com", MEMBER],
        }),
        ("gcp:monitoring/notificationChannel:NotificationChannel", {
            "type": "email", "displayName": "Alerts", "labels": {"email_address": "ml@example.com"},
            "userLabels": LABELS,
        }),
        (POLICY, {
            "displayName": "errors", "combiner": "OR", "userLabels": LABELS,
            "documentation": {"content": "It answers with 5xx.", "mimeType": "text/markdown"},
            "conditions": [{"displayName": "errors", "conditionThreshold": {
                "filter": 'metric.type="run.googleapis.com/request_count" AND resource.type="cloud_run_revision"',
                "comparison": "COMPARISON_GT", "thresholdValue": 10, "duration": "0s",
                "aggregations": [{
                    "alignmentPeriod": "300s", "perSeriesAligner": "ALIGN_DELTA", "crossSeriesReducer": "REDUCE_SUM",
                }],
            }}],
        }),
    ]  # fmt: skip


@pytest.fixture(scope="module")
def made(gcp: GcpRig, provider: Gcp) -> dict[str, Resource]:
    """Every type, made once, by token."""
    image = Scene(gcp).image()
    found = {}
    for token, inputs in wanted(image):
        checked, problems = provider.check(Resource(token=token, name="x"), inputs, b"seed")
        assert problems == [], token
        id_, state = provider.create(Resource(token=token, name="x"), checked)
        found[token] = Resource(token=token, name="x", id=id_, inputs=checked, state=state)
    return found


def changed(provider: Gcp, resource: Resource, **news: Any) -> Resource:
    """Update a resource, and return it."""
    inputs = {**resource.inputs, **news}
    return replace(resource, inputs=inputs, state=provider.update(resource, inputs))


def test_every_type_that_is_translated_is_made(made: dict[str, Resource]) -> None:
    """A type without a row would be a claim."""
    assert set(made) == {*KINDS, *Special.SETTABLE}


def test_what_was_made_is_what_was_asked_for(provider: Gcp, made: dict[str, Resource]) -> None:
    """The next update and a refresh find no difference, in any property."""
    for token, resource in made.items():
        assert provider.diff(resource, resource.inputs).changed == (), token
        id_, state, inputs = provider.read(resource)
        assert (id_, dict(inputs)) == (resource.id, dict(resource.inputs)), token
        assert provider.diff(replace(resource, state=state), resource.inputs).changed == (), token


def test_a_backends_alerts_are_made_and_stay_as_they_are(gcp: GcpRig, provider: Gcp) -> None:
    """Each as the program registers it: on a figure, or on lines with the limit that Google wants of those."""
    registered = [each for each in record("many") if each.type == POLICY]
    assert len(registered) > 1
    for each in registered:
        inputs, problems = provider.check(Resource(token=POLICY, name=each.name), each.inputs, b"seed")
        assert problems == [], each.name
        id_, state = provider.create(Resource(token=POLICY, name=each.name), inputs)
        resource = Resource(token=POLICY, name=each.name, id=id_, inputs=inputs, state=state)
        assert provider.diff(resource, inputs).changed == (), each.name
        _, found, _ = provider.read(resource)
        assert provider.diff(replace(resource, state=found), inputs).changed == (), each.name
        provider.delete(resource)
        assert id_ not in gcp.alerts.kept


def test_documents_are_imported_by_their_ids(provider: Gcp, made: dict[str, Resource]) -> None:
    """What is there already is taken over as it is."""
    for token, resource in made.items():
        if not isinstance(KINDS.get(token), Document):
            continue
        _, state, _ = provider.read(Resource(token=token, name="x", id=resource.id))
        assert set(provider.diff(replace(resource, state=state), resource.inputs).changed) <= OWN, token


def test_outputs_are_google_s(gcp: GcpRig, made: dict[str, Resource]) -> None:
    """What other resources are given."""
    assert made[INSTANCE].state["privateIpAddress"] == gcp.databases.running["d"].address
    assert made[CACHE].state["host"] == next(iter(gcp.caches.running.values())).address
    assert made[SERVICE].state["urls"][0] == f"https://tiny-{NUMBER}.{REGION}.run.app"
    assert made["gcp:serviceaccount/account:Account"].state["email"] == ACCOUNT


def test_a_change_is_made_in_place(gcp: GcpRig, provider: Gcp, made: dict[str, Resource]) -> None:
    """Of the service it is another revision, of the rest the same resource; and nothing differs afterwards."""
    image = made[SERVICE].inputs["template"]["containers"][0]["image"]
    more = {"project": "shop", "team": "a"}
    news: Mapping[str, dict[str, Any]] = {
        BUCKET: {"labels": more}, SECRET: {"labels": more}, CACHE: {"labels": more},
        INSTANCE: {"settings": {**made[INSTANCE].inputs["settings"], "userLabels": more}},
        SERVICE: {"template": template(image, A="1")}, POLICY: {"displayName": "others"},
    }  # fmt: skip
    for token, change in news.items():
        found = provider.diff(made[token], {**made[token].inputs, **change})
        assert (found.changed, found.replacing) == (tuple(change), ()), token
        made[token] = changed(provider, made[token], **change)
        assert provider.diff(made[token], made[token].inputs).changed == (), token
    revisions = gcp.call("GET", f"v2/{made[SERVICE].id}/revisions")["revisions"]
    assert [each["name"].rpartition("/")[2] for each in revisions] == ["tiny-r1", "tiny-r0"]


def test_a_drift_is_seen_and_led_back(gcp: GcpRig, provider: Gcp, made: dict[str, Resource]) -> None:
    """Somebody changed the traffic by hand."""
    resource = made[SERVICE]
    body = gcp.services.kept[resource.id].body
    traffic = [{"type": "TRAFFIC_TARGET_ALLOCATION_TYPE_REVISION", "revision": "tiny-r0", "percent": 100}]
    gcp.call("PATCH", f"v2/{resource.id}", {"template": body["template"], "traffic": traffic}, updateMask="traffic")
    _, state, _ = provider.read(resource)
    drifted = replace(resource, state=state)
    assert provider.diff(drifted, resource.inputs).changed == ("traffics",)
    made[SERVICE] = changed(provider, drifted)
    assert gcp.call("GET", f"v2/{resource.id}")["trafficStatuses"][0]["tag"] == "r0"


def test_a_service_that_does_not_start_is_kept_as_half_made(
    gcp: GcpRig, provider: Gcp, made: dict[str, Resource]
) -> None:
    """The next update goes on with it, instead of meeting a name that is taken."""
    broken = {**made[SERVICE].inputs, "name": "broken", "template": template(Scene(gcp, "broken").image("crash"))}
    del broken["template"]["revision"]
    with pytest.raises(HalfMade) as caught:
        provider.create(Resource(token=SERVICE, name="x"), broken)
    assert "is not ready" in str(caught.value)
    provider.delete(Resource(token=SERVICE, name="x", id=caught.value.id, state=caught.value.state))


@pytest.mark.parametrize(
    ("token", "inputs", "where"),
    [
        (BUCKET, {"name": "b", "location": "EU", "labls": {}}, "labls"),
        (BUCKET, {"name": "b", "location": "EU", "versioning": {"enabled": "yes"}}, "versioning.enabled"),
        (BUCKET, {"name": "b", "location": "EU", "website": {}}, "website"),
        (BUCKET, {"location": "EU"}, "name"),
        (SERVICE, {"name": "s", "location": REGION, "template": {"containrs": []}}, "template.containrs"),
    ],
)
def test_what_is_not_known_is_refused(provider: Gcp, token: str, inputs: dict[str, Any], where: str) -> None:
    """By the SDK's types, and what the stand-in does not translate is no success either."""
    _, problems = provider.check(Resource(token=token, name="x"), inputs, b"seed")
    assert where in [each.path for each in problems]


def test_other_types_functions_and_unknowns_are_refused(provider: Gcp) -> None:
    """Nothing succeeds by default."""
    with pytest.raises(Refused):
        provider.check(Resource(token="gcp:pubsub/topic:Topic", name="x"), {}, b"seed")
    with pytest.raises(Refused):
        provider.invoke("gcp:organizations/getProject:getProject", {})
    with pytest.raises(Refused):
        provider.create(Resource(token=BUCKET, name="x"), {"name": UNKNOWN, "location": "EU"})
    assert provider.check_settings({"project": "p", "impersonateServiceAccount": "x"})


def test_everything_is_deleted_but_what_is_protected(gcp: GcpRig, provider: Gcp, made: dict[str, Resource]) -> None:
    """In the order in which an engine deletes; a service without the property is protected by the provider itself."""
    kept = {key: each for key, each in made[SERVICE].state.items() if key != "deletionProtection"}
    with pytest.raises(Refused):
        provider.delete(replace(made[SERVICE], state=kept))
    for resource in reversed(made.values()):
        provider.delete(resource)
        if resource.token != Special.SERVICE:
            with pytest.raises(Gone):
                provider.read(resource)
    assert gcp.live == []
    assert (gcp.databases.running, gcp.caches.running, gcp.storage.buckets) == ({}, {}, {})
