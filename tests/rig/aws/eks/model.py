"""Clusters of an emulated EKS, and what they have, by the operations of botocore's model.

What botocore's model does not know is refused: operations, parameters and their types. A change of state takes as long
as it takes somebody to see it: the first description after a change has CREATING, UPDATING or DELETING, and the next
one what comes after.
"""

from __future__ import annotations

import copy
import secrets
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

_MODEL: Final = ServiceModel(Loader().load_service_model("eks", "service-2"))
OPERATIONS: Final = tuple(_MODEL.operation_names)
_VALIDATOR: Final = ParamValidator()
_LEAST_SUBNETS: Final = 2
_FIRST: Final = ("vpc-cni", "kube-proxy")
"""Add-ons without which no node becomes ready."""
_ON_NODES: Final = ("coredns", "aws-ebs-csi-driver")
"""Add-ons that nodes run."""
# What an operation asks for, and no description has.
_ASKED: Final = frozenset({"clientRequestToken", "resolveConflicts", "force", "bootstrapSelfManagedAddons"})


class Refusal(Exception):
    """What EKS answers instead: an error's code, and its message."""

    def __init__(self, code: str, message: str) -> None:
        """Keep both."""
        super().__init__(f"{code}: {message}")
        self.code, self.message = code, message


@dataclass
class _Kept:
    """A cluster or a part of one. `after` is the state that follows the one that was not seen yet."""

    described: dict[str, Any]
    after: str | None = None
    seen: bool = False

    def go(self, now: str, after: str) -> None:
        self.described["status"], self.after, self.seen = now, after, False

    def settle(self) -> bool:
        """Go on if the state was seen; return whether it is still there."""
        if self.seen and self.after is not None:
            if self.after == "GONE":
                return False
            self.described["status"], self.after = self.after, None
        self.seen = True
        return True


@dataclass(frozen=True, kw_only=True)
class _Part:
    """A kind of part of a cluster.

    `name` is the parameter that names it, `member` that of answers that describes it, `path` how its ARN begins. One
    without `states` is there at once, and gone at once. `drawn` is whether EKS draws the name, and `unique` what two
    of them cannot have in common.
    """

    name: str
    member: str
    path: str
    states: bool = True
    drawn: bool = False
    unique: tuple[str, ...] = ()


_PARTS: Final = {
    "Nodegroup": _Part(name="nodegroupName", member="nodegroup", path="nodegroup", unique=("nodegroupName",)),
    "Addon": _Part(name="addonName", member="addon", path="addon", unique=("addonName",)),
    "AccessEntry": _Part(
        name="principalArn", member="accessEntry", path="access-entry", states=False, unique=("principalArn",)
    ),
    "PodIdentityAssociation": _Part(
        name="associationId",
        member="association",
        path="podidentityassociation",
        states=False,
        drawn=True,
        unique=("namespace", "serviceAccount"),
    ),
}
_UPDATES: Final = {
    "UpdateNodegroupConfig": "Nodegroup",
    "UpdateNodegroupVersion": "Nodegroup",
    "UpdateAddon": "Addon",
    "UpdatePodIdentityAssociation": "PodIdentityAssociation",
}


@dataclass(kw_only=True)
class Eks:
    """EKS in one region of one account.

    `endpoint` is what DescribeCluster adds when a cluster is ACTIVE: its endpoint and the authority. `offered` are the
    add-ons that DescribeAddonVersions lists. `network` makes a cluster's security group in the VPC of its subnets, and
    returns what `resourcesVpcConfig` has of both; `freed` deletes the group. `trusts` tells whether a role (ARN) trusts
    a service.
    """

    region: str
    account: str
    endpoint: Mapping[str, Any]
    offered: Sequence[Mapping[str, Any]] = ()
    network: Callable[[Sequence[str]], dict[str, str]] = lambda _: {}
    freed: Callable[[Mapping[str, str]], None] = lambda _: None
    trusts: Callable[[str, str], bool] = lambda _, __: True
    _clusters: dict[str, _Kept] = field(default_factory=dict)
    _parts: dict[tuple[str, str, str], _Kept] = field(default_factory=dict)
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def ask(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one operation. Raises Refusal."""
        if operation not in OPERATIONS:
            raise Refusal("UnknownOperationException", operation)
        shape = _MODEL.operation_model(operation).input_shape
        assert shape is not None
        report = _VALIDATOR.validate(dict(parameters), shape)
        if report.has_errors():
            raise Refusal("InvalidParameterException", report.generate_report())
        with self._lock:
            return copy.deepcopy(self._handler(operation)(parameters))

    @property
    def names(self) -> list[str]:
        """The names of its clusters."""
        return list(self._clusters)

    def _handler(self, operation: str) -> Callable[[Mapping[str, Any]], dict[str, Any]]:
        for kind in _PARTS:
            for verb, handler in (
                ("Create", self._create_part),
                ("Describe", self._describe_part),
                ("Delete", self._delete_part),
            ):
                if operation == verb + kind:
                    return lambda given: handler(kind, given)
        if operation in _UPDATES:
            return lambda given: self._update_part(_UPDATES[operation], given)
        found: dict[str, Callable[[Mapping[str, Any]], dict[str, Any]]] = {
            "CreateCluster": self._create,
            "DescribeCluster": self._describe,
            "UpdateClusterConfig": self._update,
            "UpdateClusterVersion": self._update,
            "DeleteCluster": self._delete,
            "DescribeAddonVersions": self._versions,
            "ListPodIdentityAssociations": self._associations,
            "AssociateAccessPolicy": self._associate,
            "ListAssociatedAccessPolicies": self._policies,
            "DisassociateAccessPolicy": self._disassociate,
            "ListTagsForResource": lambda given: {"tags": self._tags(given)},
            "TagResource": self._tag,
            "UntagResource": self._untag,
        }
        if operation not in found:
            raise Refusal("NotImplemented", f"{operation} is not emulated")
        return found[operation]

    # Clusters.

    def _create(self, given: Mapping[str, Any]) -> dict[str, Any]:
        name = given["name"]
        if name in self._clusters:
            raise Refusal("ResourceInUseException", f"Cluster already exists with name: {name}")
        network = given["resourcesVpcConfig"]
        if len(set(network.get("subnetIds", []))) < _LEAST_SUBNETS:
            raise Refusal("InvalidParameterException", "Subnets specified must be in at least two different AZs")
        self._hold_trust(given["roleArn"], "eks.amazonaws.com")
        kept = _Kept({
            **_described(given),
            "arn": self._arn("cluster", name),
            "resourcesVpcConfig": {**network, **self.network(network["subnetIds"])},
        })  # fmt: skip
        kept.go("CREATING", "ACTIVE")
        self._clusters[name] = kept
        return {"cluster": kept.described}

    def _describe(self, given: Mapping[str, Any]) -> dict[str, Any]:
        kept = self._cluster(given["name"])
        if not kept.settle():
            del self._clusters[given["name"]]
            self.freed(kept.described["resourcesVpcConfig"])
            self._cluster(given["name"])
        if kept.described["status"] == "ACTIVE":
            kept.described.update(self.endpoint)
        return {"cluster": kept.described}

    def _update(self, given: Mapping[str, Any]) -> dict[str, Any]:
        kept = self._cluster(given["name"])
        return self._changed(kept, given, ("name",))

    def _delete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        kept = self._cluster(given["name"])
        if kept.described["status"] in ("CREATING", "DELETING"):
            raise Refusal("ResourceInUseException", f"Cluster {given['name']} is {kept.described['status']}")
        if self._has("Nodegroup", given["name"]):
            raise Refusal("ResourceInUseException", "Cluster has nodegroups attached")
        # All else goes with it.
        for key in [key for key in self._parts if key[1] == given["name"]]:
            del self._parts[key]
        kept.go("DELETING", "GONE")
        return {"cluster": kept.described}

    # Their parts.

    def _create_part(self, kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
        part, of = _PARTS[kind], given["clusterName"]
        if self._cluster(of).described["status"] != "ACTIVE":
            raise Refusal("InvalidRequestException", f"Cluster {of} is not ACTIVE")
        same = [
            each
            for (each_kind, cluster, _), each in self._parts.items()
            if (each_kind, cluster) == (kind, of) and all(each.described[key] == given[key] for key in part.unique)
        ]
        if same:
            raise Refusal("ResourceInUseException", f"{', '.join(given[key] for key in part.unique)} already exists")
        self._hold_version(kind, given)
        if kind == "Nodegroup":
            self._hold_trust(given["nodeRole"], "ec2.amazonaws.com")
        drawn = f"a-{secrets.token_hex(9)[:17]}"
        name = drawn if part.drawn else given[part.name]
        own = name if part.drawn else f"{name.rpartition('/')[2]}/{secrets.token_hex(8)}"
        kept = _Kept({
            **_described(given),
            part.name: name,
            f"{part.member}Arn": self._arn(part.path, f"{of}/{own}"),
        })  # fmt: skip
        if kind == "Addon":
            kept.described["podIdentityAssociations"] = self._given_identities(of, given)
        if part.states:
            kept.go("CREATING", self._outcome(kind, of, name))
        self._parts[kind, of, name] = kept
        return {part.member: kept.described}

    def _outcome(self, kind: str, cluster: str, name: str) -> str:
        """Return the state that a new part comes to."""
        if kind == "Nodegroup":
            return "ACTIVE" if all(("Addon", cluster, each) in self._parts for each in _FIRST) else "CREATE_FAILED"
        return "DEGRADED" if name in _ON_NODES and not self._has("Nodegroup", cluster) else "ACTIVE"

    def _given_identities(self, cluster: str, given: Mapping[str, Any]) -> list[str]:
        """Make the associations that an add-on is given; EKS describes their ARNs."""
        made = [
            self._create_part("PodIdentityAssociation", {**each, "clusterName": cluster, "namespace": "kube-system"})
            for each in given.get("podIdentityAssociations", [])
        ]
        return [each["association"]["associationArn"] for each in made]

    def _describe_part(self, kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
        kept = self._part(kind, given)
        if not kept.settle():
            del self._parts[kind, given["clusterName"], given[_PARTS[kind].name]]
            self._part(kind, given)
        return {_PARTS[kind].member: kept.described}

    def _update_part(self, kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
        kept, part = self._part(kind, given), _PARTS[kind]
        if unknown := {"labels", "taints", "podIdentityAssociations"} & set(given):
            raise Refusal("NotImplemented", f"an update of {', '.join(unknown)} is not emulated")
        self._hold_version(kind, given)
        names = ("clusterName", part.name)
        if part.states:
            return self._changed(kept, given, names)
        kept.described.update({key: value for key, value in _described(given).items() if key not in names})
        return {part.member: kept.described}

    def _delete_part(self, kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
        kept, part = self._part(kind, given), _PARTS[kind]
        if part.states:
            kept.go("DELETING", "GONE")
        else:
            del self._parts[kind, given["clusterName"], given[part.name]]
        shape = _MODEL.operation_model(f"Delete{kind}").output_shape
        return {part.member: kept.described} if shape is not None and part.member in shape.members else {}

    def _changed(self, kept: _Kept, given: Mapping[str, Any], names: Sequence[str]) -> dict[str, Any]:
        """Change what is given, if nothing else is being changed."""
        if kept.described["status"] != "ACTIVE":
            raise Refusal("ResourceInUseException", f"it is {kept.described['status']}")
        for key, value in _described(given).items():
            before = kept.described.get(key)
            if key not in names:
                kept.described[key] = {**before, **value} if isinstance(before, dict) else value
        kept.go("UPDATING", "ACTIVE")
        return {"update": {"id": secrets.token_hex(8), "status": "InProgress"}}

    def _associations(self, given: Mapping[str, Any]) -> dict[str, Any]:
        self._cluster(given["clusterName"])
        found = [
            each.described
            for (kind, cluster, _), each in self._parts.items()
            if (kind, cluster) == ("PodIdentityAssociation", given["clusterName"])
        ]
        asked = {key: given[key] for key in ("namespace", "serviceAccount") if key in given}
        return {"associations": [each for each in found if asked.items() <= each.items()]}

    # What access entries may do.

    def _associate(self, given: Mapping[str, Any]) -> dict[str, Any]:
        policies = self._part("AccessEntry", given).described.setdefault("policies", {})
        policies[given["policyArn"]] = {"policyArn": given["policyArn"], "accessScope": given["accessScope"]}
        return {"associatedAccessPolicy": policies[given["policyArn"]]}

    def _policies(self, given: Mapping[str, Any]) -> dict[str, Any]:
        policies = self._part("AccessEntry", given).described.get("policies", {})
        return {"associatedAccessPolicies": list(policies.values())}

    def _disassociate(self, given: Mapping[str, Any]) -> dict[str, Any]:
        policies = self._part("AccessEntry", given).described.get("policies", {})
        if policies.pop(given["policyArn"], None) is None:
            raise Refusal("ResourceNotFoundException", f"{given['policyArn']} is not associated")
        return {}

    # Tags.

    def _tags(self, given: Mapping[str, Any]) -> dict[str, str]:
        arn = given["resourceArn"]
        for each in (*self._clusters.values(), *self._parts.values()):
            if arn in each.described.values():
                tags: dict[str, str] = each.described.setdefault("tags", {})
                return tags
        raise Refusal("NotFoundException", f"No resource found for {arn}")

    def _tag(self, given: Mapping[str, Any]) -> dict[str, Any]:
        self._tags(given).update(given["tags"])
        return {}

    def _untag(self, given: Mapping[str, Any]) -> dict[str, Any]:
        tags = self._tags(given)
        for key in given["tagKeys"]:
            tags.pop(key, None)
        return {}

    # What is looked up.

    def _versions(self, given: Mapping[str, Any]) -> dict[str, Any]:
        named, version = given.get("addonName"), given.get("kubernetesVersion")
        found = []
        for each in self.offered:
            fitting = [
                offer
                for offer in each["addonVersions"]
                if version is None or any(fits["clusterVersion"] == version for fits in offer["compatibilities"])
            ]
            if named in (None, each["addonName"]) and fitting:
                found.append({**each, "addonVersions": fitting})
        return {"addons": found}

    def _hold_version(self, kind: str, given: Mapping[str, Any]) -> None:
        if kind != "Addon" or "addonVersion" not in given:
            return
        version = self._cluster(given["clusterName"]).described.get("version")
        asked = {"addonName": given["addonName"], **({"kubernetesVersion": version} if version else {})}
        offered = {offer["addonVersion"] for each in self._versions(asked)["addons"] for offer in each["addonVersions"]}
        if given["addonVersion"] not in offered:
            raise Refusal("InvalidParameterException", f"Addon version {given['addonVersion']} is not supported")

    def _hold_trust(self, role: str, service: str) -> None:
        if not self.trusts(role, service):
            raise Refusal(
                "InvalidParameterException",
                f"Role with arn: {role}, could not be assumed because it does not exist or the trusted entity is not "
                "correct",
            )

    def _has(self, kind: str, cluster: str) -> bool:
        return any((each, of) == (kind, cluster) for each, of, _ in self._parts)

    def _arn(self, path: str, name: str) -> str:
        return f"arn:aws:eks:{self.region}:{self.account}:{path}/{name}"

    def _cluster(self, name: str) -> _Kept:
        if name not in self._clusters:
            raise Refusal("ResourceNotFoundException", f"No cluster found for name: {name}.")
        return self._clusters[name]

    def _part(self, kind: str, given: Mapping[str, Any]) -> _Kept:
        self._cluster(given["clusterName"])
        key = (kind, given["clusterName"], given[_PARTS[kind].name])
        if key not in self._parts:
            raise Refusal("ResourceNotFoundException", f"No {_PARTS[kind].member} {key[2]} in cluster {key[1]}")
        return self._parts[key]


def _described(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return what of an operation's parameters is described later."""
    return {key: value for key, value in given.items() if key not in _ASKED}
