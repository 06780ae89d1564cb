"""Which ARNs a request to EKS is about (service authorization reference, Amazon EKS), and what else it needs.

Parts of a cluster have ARNs that end in what EKS draws; here it is `new`, because no policy of ours names that end.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from mlflow_backend.aws.render.cluster import PODS
from tests.rig.aws.iam.subjects import AccessRequest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.rig.aws.iam.subjects import Call

_PATH: Final = re.compile(r"/clusters/(?P<cluster>[^/]+)(?:/(?P<kind>[^/]+)(?:/(?P<part>[^/]+))?)?")
_KINDS: Final = {
    "addons": "addon",
    "access-entries": "access-entry",
    "node-groups": "nodegroup",
    "pod-identity-associations": "podidentityassociation",
}
_PASSED: Final = {
    "CreateCluster": ("roleArn", "eks.amazonaws.com"),
    "CreateNodegroup": ("nodeRole", "ec2.amazonaws.com"),
}


def subjects(call: Call) -> Iterator[AccessRequest]:
    """Return everything that a request asks for."""
    yield AccessRequest(action=call.action, resource=_named(call), context=call.given_tags)
    if call.operation.startswith("Create") and call.given_tags:
        yield AccessRequest(action="eks:TagResource", resource=_made(call), context=call.given_tags)
    for role, service in _roles(call):
        yield AccessRequest(action="iam:PassRole", resource=role, context={"iam:PassedToService": service})


def _named(call: Call) -> str:
    """Return what the operation is about: what is made is about the cluster that gets it."""
    path = unquote(urlsplit(call.path).path)
    if path.startswith("/tags/"):
        return path.removeprefix("/tags/")
    found = _PATH.match(urlsplit(call.path).path)
    if found is None:
        return "*"
    kind = _KINDS.get(found["kind"] or "")
    if kind is None or found["part"] is None:
        return call.arn("eks", f"cluster/{found['cluster']}")
    return call.arn("eks", f"{kind}/{found['cluster']}/{unquote(found['part']).rpartition('/')[2]}/new")


def _made(call: Call) -> str:
    found = _PATH.match(urlsplit(call.path).path)
    if found is None:
        return call.arn("eks", f"cluster/{call.text('name')}")
    return call.arn("eks", f"{_KINDS[found['kind']]}/{found['cluster']}/new")


def _roles(call: Call) -> Iterator[tuple[str, str]]:
    if call.operation in _PASSED:
        key, service = _PASSED[call.operation]
        yield call.text(key), service
    if call.operation.endswith("PodIdentityAssociation") and call.text("roleArn"):
        yield call.text("roleArn"), PODS
    for each in call.values.get("podIdentityAssociations") or []:
        yield each["roleArn"], PODS
