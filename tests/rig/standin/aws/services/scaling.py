"""Application Auto Scaling: targets and policies."""

from __future__ import annotations

from typing import Final

from tests.rig.standin.aws.resource import Operation, Translation

_SUBJECT: Final = {
    "ServiceNamespace": "{serviceNamespace}",
    "ResourceId": "{resourceId}",
    "ScalableDimension": "{scalableDimension}",
}
_NAMED: Final = {**_SUBJECT, "PolicyName": "{name}"}
_LISTED: Final = {"ServiceNamespace": "{serviceNamespace}", "ScalableDimension": "{scalableDimension}"}
_POLICY: Final = "policyType targetTrackingScalingPolicyConfiguration"

RESOURCES: Final = (
    Translation(
        token="aws:appautoscaling/target:Target",
        service="application-autoscaling",
        id="{serviceNamespace}|{resourceId}|{scalableDimension}",
        create=Operation(
            call="register_scalable_target",
            takes="serviceNamespace resourceId scalableDimension minCapacity maxCapacity",
        ),
        read=Operation(
            call="describe_scalable_targets",
            keys={**_LISTED, "ResourceIds": ["{resourceId}"]},
            answer="ScalableTargets[0]",
        ),
        updates=(Operation(call="register_scalable_target", takes="minCapacity maxCapacity", keys=_SUBJECT),),
        delete=Operation(call="deregister_scalable_target", keys=_SUBJECT),
        names={"arn": "ScalableTargetARN"},
    ),
    Translation(
        token="aws:appautoscaling/policy:Policy",
        service="application-autoscaling",
        id="{serviceNamespace}|{resourceId}|{scalableDimension}|{name}",
        create=Operation(
            call="put_scaling_policy", takes=f"name serviceNamespace resourceId scalableDimension {_POLICY}"
        ),
        read=Operation(
            call="describe_scaling_policies",
            keys={**_LISTED, "ResourceId": "{resourceId}", "PolicyNames": ["{name}"]},
            answer="ScalingPolicies[?PolicyName=='$name'] | [0]",
        ),
        updates=(Operation(call="put_scaling_policy", takes=_POLICY, keys=_NAMED),),
        delete=Operation(call="delete_scaling_policy", keys=_NAMED),
        names={
            "name": "PolicyName",
            "arn": "PolicyARN",
            "targetTrackingScalingPolicyConfiguration.customizedMetricSpecification": "CustomizedMetricSpecification",
        },
        named="name",
    ),
)
