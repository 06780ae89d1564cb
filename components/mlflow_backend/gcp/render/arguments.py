"""Documents of Google's APIs as the Pulumi provider takes them: it has other names for some fields. Pure.

The documents are written, tested and compared as Google's own; here is only what the provider spells in another way.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

Body = dict[str, Any]

_PLURALS = {"command": "commands", "env": "envs", "dependsOn": "dependsOns"}
_DISK = {
    "dataDiskSizeGb": "diskSize",
    "dataDiskType": "diskType",
    "storageAutoResize": "diskAutoresize",
    "storageAutoResizeLimit": "diskAutoresizeLimit",
}
_NUMBERS = frozenset({"diskSize", "diskAutoresizeLimit"})


def service(body: Mapping[str, Any]) -> Body:
    """Return the arguments of a Cloud Run service."""
    rest = {key: value for key, value in body.items() if key not in {"template", "traffic"}}
    return {**rest, "template": _template(body["template"]), "traffics": body["traffic"]}


def job(body: Mapping[str, Any]) -> Body:
    """Return the arguments of a Cloud Run job."""
    template = body["template"]
    return {**body, "template": {**template, "template": _template(template["template"])}}


def database(body: Mapping[str, Any]) -> Body:
    """Return the arguments of a Cloud SQL instance."""
    settings = {_DISK.get(key, key): value for key, value in body["settings"].items()}
    settings |= {key: int(settings[key]) for key in _NUMBERS & settings.keys()}
    return {**body, "settings": settings}


def bucket(body: Mapping[str, Any]) -> Body:
    """Return the arguments of a bucket."""
    moved = {"iamConfiguration", "lifecycle", "softDeletePolicy"}
    closed = body["iamConfiguration"]
    return {
        **{key: value for key, value in body.items() if key not in moved},
        "uniformBucketLevelAccess": closed["uniformBucketLevelAccess"]["enabled"],
        "publicAccessPrevention": closed["publicAccessPrevention"],
        "lifecycleRules": body["lifecycle"]["rule"],
        "softDeletePolicy": {
            "retentionDurationSeconds": int(body["softDeletePolicy"]["retentionDurationSeconds"]),
        },
    }


def network(body: Mapping[str, Any]) -> Body:
    """Return the arguments of a network."""
    rest = {key: value for key, value in body.items() if key != "routingConfig"}
    return {**rest, "routingMode": body["routingConfig"]["routingMode"]}


def _template(template: Mapping[str, Any]) -> Body:
    return {**template, "containers": [_container(each) for each in template["containers"]]}


def _container(container: Mapping[str, Any]) -> Body:
    found = {_PLURALS.get(key, key): value for key, value in container.items()}
    if "ports" in found:
        # An API of lists with one entry.
        (found["ports"],) = found["ports"]
    return found
