"""IAM's simulation of a principal's policies, which moto has not: the evaluator decides, as it does for requests."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from moto.core.responses import ActionResult
from moto.iam.exceptions import NotFoundException
from moto.iam.models import ManagedPolicy, iam_backends
from moto.iam.responses import IamResponse

from tests.rig.aws.iam.evaluator import Policies, Request, allowed
from tests.rig.aws.server import ACCOUNT

if TYPE_CHECKING:
    from tests.rig.patches import Patches


def install(patches: Patches) -> None:
    """Answer SimulatePrincipalPolicy for roles and users; what it is not asked today is left out of the answer."""

    def simulate(response: IamResponse) -> ActionResult:
        principal = _principal(response._get_param("PolicySourceArn"))
        resources = response._get_param("ResourceArns") or ["*"]
        entries = response._get_param("ContextEntries") or []
        context = {each["ContextKeyName"]: each["ContextKeyValues"][0] for each in entries}
        policies = Policies(identity=_documents(principal), boundary=_boundary(principal))
        results = [
            {
                "EvalActionName": action,
                "EvalResourceName": resource,
                "EvalDecision": "allowed"
                if allowed(Request(action=action, resource=resource, context=context), policies)
                else "implicitDeny",
            }
            for action in response._get_param("ActionNames")
            for resource in resources
        ]
        return ActionResult({"EvaluationResults": results, "IsTruncated": False})

    patches.add(IamResponse, "simulate_principal_policy", simulate)


def _principal(arn: str) -> Any:
    iam = iam_backends[ACCOUNT]["aws"]
    everyone: list[Any] = [*iam.roles.values(), *iam.users.values()]
    for each in everyone:
        if each.arn == arn:
            return each
    raise NotFoundException(f"The principal {arn} cannot be found.")


def _documents(principal: Any) -> list[dict[str, Any]]:
    own = [json.loads(each) if isinstance(each, str) else each for each in principal.policies.values()]
    return [*own, *(_managed(each) for each in principal.managed_policies.values())]


def _boundary(principal: Any) -> list[dict[str, Any]] | None:
    named = getattr(principal, "permissions_boundary", None)
    if not named:
        return None
    arn = named["PermissionsBoundaryArn"] if isinstance(named, dict) else named
    return [_managed(iam_backends[ACCOUNT]["aws"].managed_policies[arn])]


def _managed(policy: ManagedPolicy) -> dict[str, Any]:
    return dict(json.loads(next(version for version in policy.versions if version.is_default).document))
