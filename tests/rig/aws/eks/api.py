"""EKS's API in moto's place, of which that has neither states nor add-ons, access entries or identities of pods."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from botocore import xform_name
from moto.core.exceptions import ServiceException
from moto.core.responses import ActionResult, BaseResponse
from moto.ec2.models import ec2_backends
from moto.eks import urls
from moto.iam.aws_managed_policies import aws_managed_policies_data
from moto.iam.models import AWSManagedPolicy, iam_backends

from mlflow_backend.aws.render import cluster as render
from tests.rig.aws.eks.model import OPERATIONS, Eks, Refusal
from tests.rig.aws.server import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.rig.patches import Patches

_POLICIES: Final = (*render.CLUSTER_POLICIES, *render.NODE_POLICIES, *render.VOLUMES_POLICIES)


class _Error(ServiceException):
    """An error of EKS's: moto takes the service from the module of the class."""


def install(patches: Patches, *, endpoint: Mapping[str, Any], offered: Sequence[Mapping[str, Any]]) -> Eks:
    """Answer from now on, and return what answers; see model.Eks."""
    eks = Eks(
        region=REGION,
        account=ACCOUNT,
        endpoint=endpoint,
        offered=offered,
        network=_network,
        freed=_freed,
        trusts=_trusts,
    )

    class Response(BaseResponse):
        """EKS's operations, by moto's names of them."""

        def __init__(self) -> None:
            super().__init__(service_name="eks")
            self.automated_parameter_parsing = True

    def answer(response: Response) -> ActionResult:
        try:
            return ActionResult(eks.ask(response._get_action(), response.params))
        except Refusal as refusal:
            raise _Error(refusal.code, refusal.message) from None

    for each in OPERATIONS:
        setattr(Response, xform_name(each), answer)
    patches.put(urls, "url_paths", {"{0}/(?P<path>.+)$": Response().dispatch})
    provide_policies()
    return eks


def offer(addon: str, kubernetes: str, *versions: str) -> dict[str, Any]:
    """Return an add-on as DescribeAddonVersions lists it; the first version is the default one."""
    fits = [{"clusterVersion": kubernetes, "defaultVersion": each == versions[0]} for each in versions]
    listed = [{"addonVersion": version, "compatibilities": [fit]} for version, fit in zip(versions, fits, strict=True)]
    return {"addonName": addon, "addonVersions": listed}


def _network(subnets: Sequence[str]) -> dict[str, str]:
    ec2 = ec2_backends[ACCOUNT][REGION]
    (vpc,) = {ec2.get_subnet(each).vpc_id for each in subnets}
    group = ec2.create_security_group(f"eks-cluster-sg-{len(ec2.groups)}", "EKS created security group", vpc_id=vpc)
    return {"clusterSecurityGroupId": group.id, "vpcId": vpc}


def _freed(network: Mapping[str, str]) -> None:
    ec2_backends[ACCOUNT][REGION].delete_security_group(group_id=network["clusterSecurityGroupId"])


def _trusts(arn: str, service: str) -> bool:
    role = next((each for each in iam_backends[ACCOUNT]["aws"].roles.values() if each.arn == arn), None)
    if role is None:
        return False
    statements = json.loads(role.assume_role_policy_document)["Statement"]
    return any(service in str(each["Principal"].get("Service")) for each in statements)


def provide_policies() -> None:
    """Provide AWS's own policies that its page on EKS names: moto has none of AWS's unless it loads all 1,400."""
    iam, known = iam_backends[ACCOUNT]["aws"], json.loads(aws_managed_policies_data)
    for each in _POLICIES:
        name = each.rpartition("/")[2]
        policy = AWSManagedPolicy.from_data(name, ACCOUNT, "aws", known[name])
        iam.managed_policies[policy.arn] = policy
