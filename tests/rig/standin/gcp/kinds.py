"""How each resource type is made, seen, changed and deleted: its API, its name there, and what is no rule."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, Literal
from urllib.parse import quote

from tests.rig.standin.base import Gone, Refused

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.rig.standin.gcp.api import Api

Values = dict[str, Any]
# Of the provider itself: no API has them.
OWN: Final = frozenset({"deletionProtection", "deletionPolicy", "forceDestroy", "disableOnDestroy", "project"})


def _same(values: Values) -> Values:
    return values


@dataclass(frozen=True, kw_only=True)
class Document:
    """A resource that is one document of an API.

    `parent` and `short` are templates over the inputs: where it is made, and its name there; `id` is its path by
    default. `drawn` says that Google names it. `named` is the query parameter of a creation that has the name, '' if
    the document has it. `inner` and `outer` turn properties into what `translate` finds by name, and back. `fixed` are
    the inputs of which another value is another resource, `masked` says that a change names its fields.
    """

    token: str
    api: str
    schema: str
    parent: str
    short: str
    version: str
    inputs: str
    fixed: str
    named: str = ""
    names: Mapping[str, str] = field(default_factory=dict)
    inner: Callable[[Values], Values] = _same
    outer: Callable[[Values], Values] = _same
    operations: Literal["", "google", "sql", "compute"] = ""
    masked: bool = False
    own: frozenset[str] = OWN
    protected: bool = False
    identifier: str = ""
    drawn: bool = False
    computed: Callable[[Values, Mapping[str, str]], Values] = lambda *_: {}
    changes: Callable[[Api, str, Values, Values, tuple[str, ...]], None] | None = None
    creates: Callable[[Api, Values, Values], str] | None = None
    before_delete: Callable[[Api, str, Values], None] | None = None

    @property
    def settable(self) -> frozenset[str]:
        """The inputs that are translated."""
        return frozenset(self.inputs.split()) | frozenset(self.fixed.split()) | self.own

    @property
    def replacing(self) -> frozenset[str]:
        """The inputs that only another resource can have otherwise."""
        return frozenset(self.fixed.split()) | (self.own - OWN)


@dataclass(frozen=True, kw_only=True)
class Grant:
    """Members of a role in the policy of a resource: one member of several, or all of them (`whole`).

    `get` and `set` are templates of the calls, each a method and a path over the inputs.
    """

    token: str
    api: str
    resource: str
    get: tuple[str, str]
    set: tuple[str, str]
    wrapped: bool
    whole: bool
    fixed: str

    @property
    def settable(self) -> frozenset[str]:
        """The inputs that are translated."""
        return frozenset(self.fixed.split()) | {"members" if self.whole else "member", "role", "condition", "project"}

    @property
    def replacing(self) -> frozenset[str]:
        """The inputs that only another resource can have otherwise."""
        return self.settable - {"members", "project"}


def _network(values: Values) -> Values:
    found = {key: each for key, each in values.items() if key != "routingMode"}
    return {**found, "routingConfig": {"routingMode": values["routingMode"]}} if "routingMode" in values else found


def _network_back(document: Values) -> Values:
    return {**document, "routingMode": document.get("routingConfig", {}).get("routingMode")}


def _bucket(values: Values) -> Values:
    found = {key: each for key, each in values.items() if key not in _MOVED}
    closed: Values = {}
    if "uniformBucketLevelAccess" in values:
        closed["uniformBucketLevelAccess"] = {"enabled": values["uniformBucketLevelAccess"]}
    if "publicAccessPrevention" in values:
        closed["publicAccessPrevention"] = values["publicAccessPrevention"]
    found |= {"iamConfiguration": closed} if closed else {}
    return found | ({"lifecycle": {"rule": values["lifecycleRules"]}} if "lifecycleRules" in values else {})


_MOVED: Final = frozenset({"uniformBucketLevelAccess", "publicAccessPrevention", "lifecycleRules"})


def _bucket_back(document: Values) -> Values:
    closed = document.get("iamConfiguration", {})
    return {
        **document,
        "uniformBucketLevelAccess": closed.get("uniformBucketLevelAccess", {}).get("enabled", False),
        "publicAccessPrevention": closed.get("publicAccessPrevention"),
        "lifecycleRules": document.get("lifecycle", {}).get("rule"),
    }


def _empty_bucket(api: Api, path: str, state: Values) -> None:
    """Delete what is in a bucket, with every generation, if the program said so."""
    if not state.get("forceDestroy"):
        return
    while items := api.call("GET", "storage.googleapis.com", f"{path}/o", versions="true").get("items"):
        for each in items:
            where = f"{path}/o/{quote(each['name'], safe='')}"
            api.call("DELETE", "storage.googleapis.com", where, generation=each["generation"])


def _account(api: Api, values: Values, document: Values) -> str:
    rest = {key: each for key, each in document.items() if key != "accountId"}
    body = {"accountId": values["accountId"], "serviceAccount": rest}
    made = api.call("POST", "iam.googleapis.com", f"v1/projects/{values['project']}/serviceAccounts", body)
    return str(made["name"])


def _scheduled(api: Api, values: Values, document: Values) -> str:
    """Make a job, whose name is in its document and whole."""
    parent = f"projects/{values['project']}/locations/{values['region']}"
    body = {**document, "name": f"{parent}/jobs/{values['name']}"}
    made = api.call("POST", "cloudscheduler.googleapis.com", f"v1/{parent}/jobs", body)
    return str(made["name"])


def _change_account(api: Api, path: str, _state: Values, document: Values, changed: tuple[str, ...]) -> None:
    body = {"serviceAccount": document, "updateMask": ",".join(changed)}
    api.call("PATCH", "iam.googleapis.com", f"v1/{path}", body)


def _addressed(document: Values, _labels: Mapping[str, str]) -> Values:
    addresses = {each["type"]: each["ipAddress"] for each in document.get("ipAddresses", [])}
    ca = document.get("serverCaCert", {})
    return {
        "privateIpAddress": addresses.get("PRIVATE"), "publicIpAddress": addresses.get("PRIMARY"),
        "firstIpAddress": next(iter(addresses.values()), None), "connectionName": document.get("connectionName"),
        "serverCaCerts": [{"cert": ca.get("cert"), "commonName": ca.get("commonName")}],
        "ipAddresses": [{"ipAddress": each, "type": kind} for kind, each in addresses.items()],
    }  # fmt: skip


def _member(document: Values, _labels: Mapping[str, str]) -> Values:
    return {"member": f"serviceAccount:{document['email']}", "accountId": document["email"].partition("@")[0]}


_RUN_NAMES: Final = {"envs": "env", "commands": "command", "dependsOns": "dependsOn", "traffics": "traffic"}

KINDS: Final[Mapping[str, Document | Grant]] = {
    each.token: each
    for each in (
        Document(
            token="gcp:compute/network:Network", api="compute.v1", schema="Network", version="compute/v1",
            parent="projects/{project}/global/networks", short="{name}", operations="compute",
            inputs="routingMode", fixed="name autoCreateSubnetworks description",
            inner=_network, outer=_network_back,
        ),
        Document(
            token="gcp:compute/subnetwork:Subnetwork", api="compute.v1", schema="Subnetwork", version="compute/v1",
            parent="projects/{project}/regions/{region}/subnetworks", short="{name}", operations="compute",
            inputs="privateIpGoogleAccess", fixed="name region network ipCidrRange description",
        ),
        Document(
            token="gcp:compute/globalAddress:GlobalAddress", api="compute.v1", schema="Address", version="compute/v1",
            parent="projects/{project}/global/addresses", short="{name}", operations="compute",
            inputs="labels", fixed="name purpose addressType prefixLength network description address",
        ),
        Document(
            token="gcp:serviceaccount/account:Account", api="iam.v1", schema="ServiceAccount", version="v1",
            parent="projects/{project}/serviceAccounts",
            short="{accountId}@{project}.iam.gserviceaccount.com",
            inputs="displayName description", fixed="accountId", own=OWN | {"accountId"}, creates=_account,
            changes=_change_account, computed=_member,
        ),
        Document(
            token="gcp:storage/bucket:Bucket", api="storage.v1", schema="Bucket", version="storage/v1",
            parent="b", short="{name}", identifier="{name}",
            inputs="labels lifecycleRules softDeletePolicy versioning uniformBucketLevelAccess publicAccessPrevention"
            " encryption storageClass",
            fixed="name location", inner=_bucket, outer=_bucket_back, before_delete=_empty_bucket,
            computed=lambda document, _: {"url": f"gs://{document['name']}"},
        ),
        Document(
            token="gcp:secretmanager/secret:Secret", api="secretmanager.v1", schema="Secret", version="v1",
            parent="projects/{project}/secrets", short="{secretId}", named="secretId",
            inputs="labels annotations versionAliases", fixed="secretId replication", masked=True,
            names={"auto": "automatic"}, own=OWN | {"secretId"},
        ),
        Document(
            token="gcp:sql/databaseInstance:DatabaseInstance", api="sqladmin.v1", schema="DatabaseInstance",
            version="v1", parent="projects/{project}/instances", short="{name}", identifier="{name}",
            operations="sql", inputs="settings", fixed="name region databaseVersion", protected=True,
            names={
                "diskSize": "dataDiskSizeGb", "diskType": "dataDiskType", "diskAutoresize": "storageAutoResize",
                "diskAutoresizeLimit": "storageAutoResizeLimit",
            },
            computed=_addressed,
        ),
        Document(
            token="gcp:redis/instance:Instance", api="redis.v1", schema="Instance", version="v1",
            parent="projects/{project}/locations/{region}/instances", short="{name}", named="instanceId",
            operations="google", inputs="displayName labels memorySizeGb redisConfigs",
            fixed="tier redisVersion authorizedNetwork connectMode authEnabled transitEncryptionMode",
            own=OWN | {"name", "region"}, masked=True,
        ),
        Document(
            token="gcp:cloudrunv2/service:Service", api="run.v2", schema="GoogleCloudRunV2Service", version="v2",
            parent="projects/{project}/locations/{location}/services", short="{name}", named="serviceId",
            operations="google", protected=True, names=_RUN_NAMES, own=OWN | {"name", "location"},
            inputs="labels annotations ingress iapEnabled invokerIamDisabled scaling template traffics launchStage"
            " description customAudiences", fixed="",
        ),
        Document(
            token="gcp:cloudrunv2/job:Job", api="run.v2", schema="GoogleCloudRunV2Job", version="v2",
            parent="projects/{project}/locations/{location}/jobs", short="{name}", named="jobId",
            operations="google", protected=True, names=_RUN_NAMES, own=OWN | {"name", "location"},
            inputs="labels annotations template launchStage", fixed="",
        ),
        Document(
            token="gcp:cloudscheduler/job:Job", api="cloudscheduler.v1", schema="Job", version="v1",
            parent="projects/{project}/locations/{region}/jobs", short="{name}", masked=True,
            inputs="description schedule timeZone retryConfig httpTarget attemptDeadline", fixed="",
            own=OWN | {"name", "region"}, creates=_scheduled,
        ),
        Document(
            token="gcp:monitoring/alertPolicy:AlertPolicy", api="monitoring.v3", schema="AlertPolicy", version="v3",
            parent="projects/{project}/alertPolicies", short="{name}", drawn=True, masked=True,
            inputs="displayName combiner conditions documentation notificationChannels userLabels alertStrategy enabled"
            " severity", fixed="",
        ),
        Document(
            token="gcp:monitoring/notificationChannel:NotificationChannel", api="monitoring.v3",
            schema="NotificationChannel", version="v3", parent="projects/{project}/notificationChannels",
            short="{name}", drawn=True, masked=True, inputs="displayName description labels userLabels enabled",
            fixed="type",
        ),
        Grant(
            token="gcp:storage/bucketIAMMember:BucketIAMMember", api="storage.v1", resource="b/{bucket}",
            get=("GET", "storage/v1/b/{bucket}/iam"), set=("PUT", "storage/v1/b/{bucket}/iam"),
            wrapped=False, whole=False, fixed="bucket",
        ),
        Grant(
            token="gcp:secretmanager/secretIamMember:SecretIamMember", api="secretmanager.v1",
            resource="projects/{project}/secrets/{secretId}",
            get=("GET", "v1/projects/{project}/secrets/{secretId}:getIamPolicy"),
            set=("POST", "v1/projects/{project}/secrets/{secretId}:setIamPolicy"),
            wrapped=True, whole=False, fixed="secretId",
        ),
        Grant(
            token="gcp:cloudrunv2/serviceIamBinding:ServiceIamBinding", api="run.v2",
            resource="projects/{project}/locations/{location}/services/{name}",
            get=("GET", "v2/projects/{project}/locations/{location}/services/{name}:getIamPolicy"),
            set=("POST", "v2/projects/{project}/locations/{location}/services/{name}:setIamPolicy"),
            wrapped=True, whole=True, fixed="name location",
        ),
        Grant(
            token="gcp:cloudrunv2/jobIamMember:JobIamMember", api="run.v2",
            resource="projects/{project}/locations/{location}/jobs/{name}",
            get=("GET", "v2/projects/{project}/locations/{location}/jobs/{name}:getIamPolicy"),
            set=("POST", "v2/projects/{project}/locations/{location}/jobs/{name}:setIamPolicy"),
            wrapped=True, whole=False, fixed="name location",
        ),
        Grant(
            token="gcp:iap/webCloudRunServiceIamBinding:WebCloudRunServiceIamBinding", api="iap.v1",
            resource="projects/{project}/iap_web/cloud_run-{location}/services/{cloudRunServiceName}",
            get=(
                "POST",
                "v1/projects/{number}/iap_web/cloud_run-{location}/services/{cloudRunServiceName}:getIamPolicy",
            ),
            set=(
                "POST",
                "v1/projects/{number}/iap_web/cloud_run-{location}/services/{cloudRunServiceName}:setIamPolicy",
            ),
            wrapped=True, whole=True, fixed="cloudRunServiceName location",
        ),
    )
}  # fmt: skip
"""The types that are documents or grants; two more are calls of their own (`Special`)."""


class Special:
    """An API that is switched on, and a network's connection to Google's services: no documents with a name."""

    SERVICE: Final = "gcp:projects/service:Service"
    CONNECTION: Final = "gcp:servicenetworking/connection:Connection"
    SETTABLE: Final[Mapping[str, frozenset[str]]] = {
        SERVICE: OWN | {"service"},
        CONNECTION: OWN | {"network", "service", "reservedPeeringRanges"},
    }
    REPLACING: Final[Mapping[str, frozenset[str]]] = {
        SERVICE: frozenset({"service"}), CONNECTION: frozenset({"network", "service"}),
    }  # fmt: skip

    @classmethod
    def create(cls, api: Api, token: str, values: Values) -> str:
        """Make it, and return its id."""
        if token == cls.SERVICE:
            host = "serviceusage.googleapis.com"
            path = f"v1/projects/{values['project']}/services/{values['service']}"
            operation = api.call("POST", host, f"{path}:enable", {})
            api.done(host, operation, f"v1/{operation['name']}")
            return f"{values['project']}/{values['service']}"
        cls._connect(api, "POST", values)
        return f"{quote(values['network'], safe='')}:{values['service']}"

    @classmethod
    def update(cls, api: Api, token: str, values: Values) -> None:
        """Change it."""
        if token == cls.CONNECTION:
            cls._connect(api, "PATCH", values)

    @classmethod
    def read(cls, api: Api, token: str, values: Values) -> Values:
        """Return its state. Raises Gone."""
        if token == cls.SERVICE:
            path = f"v1/projects/{values['project']}/services/{values['service']}"
            if api.call("GET", "serviceusage.googleapis.com", path)["state"] != "ENABLED":
                raise Gone(path)
            return {"service": values["service"], "project": values["project"]}
        path = f"v1/services/{values['service']}/connections"
        host = "servicenetworking.googleapis.com"
        found = api.call("GET", host, path, network=values["network"])["connections"]
        if not found:
            raise Gone(values["network"])
        kept = {key: found[0][key] for key in ("reservedPeeringRanges", "peering")}
        return {"network": values["network"], "service": values["service"], **kept}

    @classmethod
    def delete(cls, api: Api, token: str, state: Values) -> None:
        """Delete it, unless the program leaves it where it is."""
        if token == cls.SERVICE:
            if state.get("disableOnDestroy") is not False:
                host, path = "serviceusage.googleapis.com", f"v1/projects/{state['project']}/services"
                operation = api.call("POST", host, f"{path}/{state['service']}:disable", {})
                api.done(host, operation, f"v1/{operation['name']}")
            return
        if state.get("deletionPolicy") == "ABANDON":
            return
        body = {"consumerNetwork": state["network"]}
        path = f"v1/services/{state['service']}/connections/servicenetworking-googleapis-com"
        host = "servicenetworking.googleapis.com"
        operation = api.call("POST", host, path, body)
        try:
            api.done(host, operation, f"v1/{operation['name']}")
        except Refused:
            if state.get("deletionPolicy") != "REMOVE_PEERING":
                raise
            path = f"compute/v1/{state['network']}"
            operation = api.call("POST", "compute.googleapis.com", f"{path}/removePeering", {"name": state["peering"]})
            done = f"compute/v1/projects/{state['project']}/global/operations/{operation['name']}"
            api.done("compute.googleapis.com", operation, done)

    @staticmethod
    def _connect(api: Api, method: str, values: Values) -> None:
        host, path = "servicenetworking.googleapis.com", f"v1/services/{values['service']}/connections"
        body = {"network": values["network"], "reservedPeeringRanges": values["reservedPeeringRanges"]}
        where = path if method == "POST" else f"{path}/servicenetworking-googleapis-com"
        operation = api.call(method, host, where, body)
        api.done(host, operation, f"v1/{operation['name']}")


def changed_policy(grant: Grant, policy: Values, values: Values, *, there: bool) -> Values:
    """Return a policy with, or without, the members that a grant declares; other bindings stay as they are."""
    members = values["members"] if grant.whole else [values["member"]]
    condition, kept, mine = values.get("condition"), [], set[str]()
    for binding in policy.get("bindings", []):
        if binding["role"] == values["role"] and binding.get("condition") == condition:
            mine |= set(binding["members"])
        else:
            kept.append(binding)
    left = set() if grant.whole else mine - set(members)
    wanted = sorted(left | (set(members) if there else set()))
    if wanted:
        kept.append({"role": values["role"], "members": wanted, **({"condition": condition} if condition else {})})
    return {**policy, "version": 3, "bindings": kept}


def granted(grant: Grant, policy: Values, values: Values) -> Values:
    """Return what a policy has of a grant. Raises Gone if it has nothing."""
    for binding in policy.get("bindings", []):
        if binding["role"] == values["role"] and binding.get("condition") == values.get("condition"):
            if grant.whole:
                return {"members": sorted(binding["members"])}
            if values["member"] in binding["members"]:
                return {"member": values["member"]}
    raise Gone(f"{grant.token}: {values['role']}")


def refuse_protected(kind: Document, state: Values) -> None:
    """Raise Refused for a resource that the provider protects, by its property or by its default."""
    if state.get("deletionProtection", kind.protected):
        raise Refused(f"{kind.token}: cannot be destroyed without setting deletion_protection=false and an update")
