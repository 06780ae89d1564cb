"""moto's decision on each request, replaced by the evaluator's.

moto leaves out resources, conditions, boundaries, session policies, bucket policies' principals and iam:PassRole
(facts: docs/testing/rig.md). Signatures are checked by moto itself, and rightly but for a REST request without a body.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache, partialmethod
from typing import TYPE_CHECKING, Any

from botocore.session import get_session
from moto.core.exceptions import AccessDeniedError, JsonRESTError
from moto.iam import access_control
from moto.iam.models import Policy, iam_backends
from moto.s3.models import FakeBucket, s3_backends
from moto.sts.models import sts_backends

from tests.rig.aws.iam import resources
from tests.rig.aws.iam.evaluator import Decision, Policies, Request, allowed, decide
from tests.rig.aws.server import ACCOUNT, Caller, transport

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.rig.aws.iam.subjects import AccessRequest
    from tests.rig.patches import Patches

# Where a service signs by another name than its permissions have, or than botocore's model.
_PREFIXES = {"monitoring": "cloudwatch"}
_MODELS = {"monitoring": "cloudwatch", "elasticloadbalancing": "elbv2"}
_FREE = "sts:GetCallerIdentity"
"""Allowed to everybody, whatever is denied (STS API reference)."""


class RoleNotAssumed(Exception):
    """A service may not take this role, or there is none."""


@dataclass(frozen=True, kw_only=True)
class Decided:
    """One question to IAM, whose it was (the caller's ARN), and the answer."""

    caller: str
    request: Request
    allowed: bool


def install(patches: Patches) -> list[Decided]:
    """Let every request be decided by the evaluator, a bucket's own policy included; return what will be decided."""
    decided: list[Decided] = []

    def signed(self: access_control.IAMRequest) -> Any:
        if self._method != "POST":
            # Without a body moto takes what it has read from the path and the query for one. Only a form's is lost.
            self._data = {}
        return before_signed(self)

    before_signed = patches.put(access_control.IAMRequest, "_create_aws_request", signed)
    patches.put(access_control.IAMRequestBase, "check_action_permitted", partialmethod(_check, decided))
    neutral = access_control.PermissionResult.NEUTRAL
    patches.put(FakeBucket, "get_permission", lambda *_: neutral)
    return decided


def is_needed(action: str, documents: Sequence[Mapping[str, Any]], decided: Sequence[Decided]) -> bool:
    """Return whether a call that was allowed is refused when an action is taken out of every statement."""
    less = json.loads(json.dumps(documents))
    for document in less:
        for statement in document["Statement"]:
            statement["Action"] = [each for each in statement["Action"] if each != action]
    return any(
        decide(each.request, less) is not Decision.ALLOW
        for each in decided
        if each.allowed and each.request.action.lower() == action.lower()
    )


def take_role(arn: str, *, service: str, session: str, context: Mapping[str, str]) -> tuple[Caller, Any]:
    """Return credentials of a role for a service, and when they expire; as AWS, ask the role's trust policy first.

    Raises RoleNotAssumed.
    """
    iam = iam_backends[ACCOUNT]["aws"]
    role = next((each for each in iam.roles.values() if each.arn == arn), None)
    if role is None:
        raise RoleNotAssumed
    request = Request(
        action="sts:AssumeRole", resource=arn, principals=frozenset({service}), context={**_everywhere(), **context}
    )
    if decide(request, [json.loads(role.assume_role_policy_document)], named=True) is not Decision.ALLOW:
        raise RoleNotAssumed
    taken = sts_backends[ACCOUNT]["aws"].assume_role("eu-west-1", session, arn, "", 3600, "")
    return (
        Caller(key=taken.access_key_id, secret=taken.secret_access_key, token=taken.session_token),
        taken.expiration,
    )


def _check(self: Any, decided: list[Decided], given: str) -> None:
    if self._action == _FREE:
        return
    service, _, operation = self._action.partition(":")
    for asked in resources.of_request(
        action=f"{_PREFIXES.get(service, service)}:{operation}",
        given=given,
        region=self._region,
        path=self._path,
        body=self._body or b"",
        form=self._data or {},
    ):
        request = Request(
            action=asked.action,
            resource=asked.resource,
            principals=_principals(self._access_key),
            context={**_everywhere(self._region), **asked.context},
        )
        answer = allowed(request, _policies(self, asked))
        decided.append(Decided(caller=self._access_key.arn, request=request, allowed=answer))
        if not answer:
            _deny(self, asked)


def _deny(self: Any, asked: AccessRequest) -> None:
    """Refuse in the service's own protocol: moto answers all in one XML, of which boto3 reads no code but for EC2."""
    protocol = _protocol(self._service)
    if protocol == "json":
        words = (
            f"User: {self._access_key.arn} is not authorized to perform: {asked.action} on resource: {asked.resource}"
        )
        raise JsonRESTError("AccessDeniedException", words)
    try:
        self._raise_access_denied()
    except AccessDeniedError as denied:
        if protocol != "ec2":
            denied.description = str(denied.description).replace("<Errors>", "").replace("</Errors>", "")
        raise


@cache
def _protocol(service: str) -> str:
    return str(get_session().get_service_model(_MODELS.get(service, service)).metadata["protocol"])


def _everywhere(region: str = "eu-west-1") -> dict[str, str]:
    return {
        "aws:SecureTransport": "true" if transport.secure else "false",
        "aws:RequestedRegion": region,
        "aws:PrincipalAccount": ACCOUNT,
    }


def _principals(key: Any) -> frozenset[str]:
    own = {key.arn, ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root"}
    role = _role(key)
    return frozenset({*own, role.arn} if role else own)


def _role(key: Any) -> Any:
    name = getattr(key, "_owner_role_name", None)
    return next((each for each in key.backend.roles.values() if each.name == name), None) if name else None


def _policies(self: Any, asked: AccessRequest) -> Policies:
    key, role = self._access_key, _role(self._access_key)
    identity = [] if getattr(key, "_owner_role_name", None) and role is None else key.collect_policies()
    return Policies(
        identity=[_document(each) for each in identity],
        resource=_resource_policies(self, asked),
        boundary=_boundary(self, role),
        session=_session(key),
    )


def _resource_policies(self: Any, asked: AccessRequest) -> list[dict[str, Any]]:
    if asked.action.startswith("s3:"):
        name = asked.resource.removeprefix("arn:aws:s3:::").partition("/")[0]
        bucket = s3_backends[ACCOUNT]["aws"].buckets.get(name)
        return [json.loads(bucket.policy)] if bucket is not None and bucket.policy else []
    if asked.action == "sts:AssumeRole":
        role = next((each for each in self.backend.roles.values() if each.arn == asked.resource), None)
        return [json.loads(role.assume_role_policy_document)] if role else []
    return []


def _boundary(self: Any, role: Any) -> list[dict[str, Any]] | None:
    named = role.permissions_boundary if role else None
    if not named:
        return None
    arn = named["PermissionsBoundaryArn"] if isinstance(named, dict) else named
    return [_document(self.backend.managed_policies[arn])]


def _session(key: Any) -> list[dict[str, Any]] | None:
    if not getattr(key, "_owner_role_name", None):
        return None
    held = next(each for each in sts_backends[ACCOUNT]["aws"].assumed_roles if each.access_key_id == key._access_key_id)
    return [json.loads(held.policy)] if held.policy else None


def _document(policy: Any) -> dict[str, Any]:
    if isinstance(policy, Policy):
        policy = next(version for version in policy.versions if version.is_default).document
    elif isinstance(policy, dict):
        policy = policy["policy_document"]
    return dict(json.loads(policy))
