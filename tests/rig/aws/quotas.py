"""Service Quotas beyond moto's: quotas of Fargate and of addresses, a default apart from a value, and increases.

Values are the test's own; the shape is the API's (Service Quotas API, ServiceQuota). A request is granted at once,
which a person at AWS may do days later. A quota that is not listed here is refused.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

from moto.servicequotas.exceptions import NoSuchResource
from moto.servicequotas.models import ServiceQuotasBackend
from moto.servicequotas.responses import ServiceQuotasResponse

from tests.rig.aws.server import ACCOUNT, REGION

if TYPE_CHECKING:
    from tests.rig.patches import Patches

# Amazon ECS developer guide, 'AWS Fargate usage metrics'.
_FARGATE_USE: Final = {
    "MetricNamespace": "AWS/Usage",
    "MetricName": "ResourceCount",
    "MetricDimensions": {
        "Service": "Fargate",
        "Type": "Resource",
        "Resource": "vCPU",
        "Class": "Standard/OnDemand",
    },
    "MetricStatisticRecommendation": "Maximum",
}
_VALUES: Final = {("fargate", "L-3032A538"): 100.0, ("ec2", "L-0263D0A3"): 20.0, ("vpc", "L-F678F1CE"): 20.0}


class Quotas:
    """What the account may have."""

    def __init__(self, patches: Patches) -> None:
        """Fix Service Quotas."""
        self._applied: dict[tuple[str, str], float] = {}

        def get(_: ServiceQuotasBackend, service_code: str, quota_code: str) -> dict[str, Any]:
            # Nobody has changed it, so there is its default alone.
            if (service_code, quota_code) not in self._applied:
                raise NoSuchResource
            return self._described(service_code, quota_code, self._applied[service_code, quota_code])

        def default(response: ServiceQuotasResponse) -> str:
            asked = json.loads(response.body)
            key = asked["ServiceCode"], asked["QuotaCode"]
            if key not in _VALUES:
                raise NoSuchResource
            return json.dumps({"Quota": self._described(*key, _VALUES[key])})

        def increase(response: ServiceQuotasResponse) -> str:
            asked = json.loads(response.body)
            key, value = (asked["ServiceCode"], asked["QuotaCode"]), float(asked["DesiredValue"])
            if key not in _VALUES:
                raise NoSuchResource
            self.set(*key, value)
            return json.dumps({"RequestedQuota": {"Id": "1", "DesiredValue": value, "Status": "APPROVED"}})

        patches.put(ServiceQuotasBackend, "get_service_quota", get)
        patches.add(ServiceQuotasResponse, "get_aws_default_service_quota", default)
        patches.add(ServiceQuotasResponse, "request_service_quota_increase", increase)

    def set(self, service: str, code: str, value: float) -> None:
        """Let the account have so much."""
        self._applied[service, code] = value

    def _described(self, service: str, code: str, value: float) -> dict[str, Any]:
        arn = f"arn:aws:servicequotas:{REGION}:{ACCOUNT}:{service}/{code}"
        found = {"ServiceCode": service, "QuotaCode": code, "QuotaArn": arn, "Value": value, "Adjustable": True}
        return {**found, "UsageMetric": _FARGATE_USE} if service == "fargate" else found
