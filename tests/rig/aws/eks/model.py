"""Clusters of an emulated EKS with node groups, add-ons and access entries, by the operations of botocore's model.

What botocore's model does not know is refused: operations, parameters and their types. A change of state takes as long
as it takes somebody to see it: the first description after a change has CREATING, UPDATING or DELETING, and the next
one what comes after.
"""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from botocore.loaders import Loader
from botocore.model import ServiceModel
from botocore.validate import ParamValidator

if TYPE_CHECKING:
    from collections.abc import Mapping

_MODEL: Final = ServiceModel(Loader().load_service_model("eks", "service-2"))
_VALIDATOR: Final = ParamValidator()


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
    """A kind of part of a cluster: the parameter that names it, and the member of answers that describes it.

    One without `states` is there at once, and gone at once without an answer.
    """

    name: str
    member: str
    states: bool = True


_PARTS: Final = {
    "Nodegroup": _Part(name="nodegroupName", member="nodegroup"),
    "Addon": _Part(name="addonName", member="addon"),
    "AccessEntry": _Part(name="principalArn", member="accessEntry", states=False),
}


@dataclass
class Eks:
    """EKS in one region of one account.

    `endpoint` is what DescribeCluster adds when a cluster is ACTIVE: its endpoint and the authority. `offered` are the
    add-ons that DescribeAddonVersions lists.
    """

    region: str
    account: str
    endpoint: Mapping[str, Any]
    offered: list[dict[str, Any]] = field(default_factory=list)
    _clusters: dict[str, _Kept] = field(default_factory=dict)
    _parts: dict[tuple[str, str, str], _Kept] = field(default_factory=dict)

    def ask(self, operation: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Answer one operation. Raises Refusal."""
        if operation not in _MODEL.operation_names:
            raise Refusal("UnknownOperationException", operation)
        report = _VALIDATOR.validate(dict(parameters), _MODEL.operation_model(operation).input_shape)
        if report.has_errors():
            raise Refusal("InvalidParameterException", report.generate_report())
        for kind in _PARTS:
            for verb in ("Create", "Describe", "Delete"):
                if operation == verb + kind:
                    part: dict[str, Any] = getattr(self, f"_{verb.lower()}_part")(kind, parameters)
                    return {_PARTS[kind].member: copy.deepcopy(part)} if part else {}
        handler = {
            "CreateCluster": self._create,
            "DescribeCluster": self._describe,
            "DeleteCluster": self._delete,
            "DescribeAddonVersions": self._versions,
        }.get(operation)
        if handler is None:
            raise Refusal("NotImplemented", f"{operation} is not emulated")
        return copy.deepcopy(handler(parameters))

    def _create(self, given: Mapping[str, Any]) -> dict[str, Any]:
        name = given["name"]
        if name in self._clusters:
            raise Refusal("ResourceInUseException", f"Cluster already exists with name: {name}")
        kept = _Kept({**given, "arn": f"arn:aws:eks:{self.region}:{self.account}:cluster/{name}"})
        kept.go("CREATING", "ACTIVE")
        self._clusters[name] = kept
        return {"cluster": kept.described}

    def _describe(self, given: Mapping[str, Any]) -> dict[str, Any]:
        kept = self._cluster(given["name"])
        if not kept.settle():
            del self._clusters[given["name"]]
            self._cluster(given["name"])
        if kept.described["status"] == "ACTIVE":
            kept.described.update(self.endpoint)
        return {"cluster": kept.described}

    def _delete(self, given: Mapping[str, Any]) -> dict[str, Any]:
        kept = self._cluster(given["name"])
        if kept.described["status"] in ("CREATING", "DELETING"):
            raise Refusal("ResourceInUseException", f"Cluster {given['name']} is {kept.described['status']}")
        if any(kind == "Nodegroup" and of == given["name"] for kind, of, _ in self._parts):
            raise Refusal("ResourceInUseException", "Cluster has nodegroups attached")
        kept.go("DELETING", "GONE")
        return {"cluster": kept.described}

    def _create_part(self, kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
        cluster, name = self._cluster(given["clusterName"]), given[_PARTS[kind].name]
        if cluster.described["status"] != "ACTIVE":
            raise Refusal("InvalidRequestException", f"Cluster {given['clusterName']} is not ACTIVE")
        if (kind, given["clusterName"], name) in self._parts:
            raise Refusal("ResourceInUseException", f"{name} already exists")
        if kind == "Addon" and "addonVersion" in given and given["addonVersion"] not in self._offered(name):
            raise Refusal("InvalidParameterException", f"Addon version {given['addonVersion']} is not supported")
        # What is only asked, such as how conflicts are resolved, is never described.
        described = _MODEL.operation_model(f"Describe{kind}").output_shape.members[_PARTS[kind].member].members
        kept = _Kept({key: value for key, value in given.items() if key in described})
        if _PARTS[kind].states:
            kept.go("CREATING", "ACTIVE")
        self._parts[kind, given["clusterName"], name] = kept
        return kept.described

    def _describe_part(self, kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
        kept = self._part(kind, given)
        if not kept.settle():
            del self._parts[kind, given["clusterName"], given[_PARTS[kind].name]]
            self._part(kind, given)
        return kept.described

    def _delete_part(self, kind: str, given: Mapping[str, Any]) -> dict[str, Any]:
        kept = self._part(kind, given)
        if not _PARTS[kind].states:
            del self._parts[kind, given["clusterName"], given[_PARTS[kind].name]]
            return {}
        kept.go("DELETING", "GONE")
        return kept.described

    def _versions(self, given: Mapping[str, Any]) -> dict[str, Any]:
        named = given.get("addonName")
        return {"addons": [each for each in self.offered if named in (None, each["addonName"])]}

    def _offered(self, addon: str) -> set[str]:
        found = [each for each in self.offered if each["addonName"] == addon]
        return {version["addonVersion"] for each in found for version in each["addonVersions"]}

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
