"""Balancers, target groups and listeners."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.rig.standin.aws.resource import Operation, Step, Translation, Wait

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.rig.standin.aws.account import Account

# Properties that are attributes, in the API's spelling of both.
_BALANCER: Final = {
    "idleTimeout": "idle_timeout.timeout_seconds",
    "dropInvalidHeaderFields": "routing.http.drop_invalid_header_fields.enabled",
    "enableDeletionProtection": "deletion_protection.enabled",
}
_TARGETS: Final = {
    "deregistrationDelay": "deregistration_delay.timeout_seconds",
    "loadBalancingAlgorithmType": "load_balancing.algorithm.type",
}
_LOGS: Final = {
    "enabled": "access_logs.s3.enabled",
    "bucket": "access_logs.s3.bucket",
    "prefix": "access_logs.s3.prefix",
}
_CHECK: Final = {
    "enabled": "HealthCheckEnabled",
    "healthyThreshold": "HealthyThresholdCount",
    "interval": "HealthCheckIntervalSeconds",
    "path": "HealthCheckPath",
    "port": "HealthCheckPort",
    "protocol": "HealthCheckProtocol",
    "timeout": "HealthCheckTimeoutSeconds",
    "unhealthyThreshold": "UnhealthyThresholdCount",
}


def _attributes(call: str, subject: str, names: Mapping[str, str]) -> Callable[..., None]:
    def run(account: Account, is_: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
        found = [{"Key": key, "Value": _text(wanted[name])} for name, key in names.items() if name in wanted]
        found += [
            {"Key": key, "Value": _text(wanted["accessLogs"][name])}
            for name, key in _LOGS.items()
            if name in wanted.get("accessLogs", {})
        ]
        account.call("elbv2", call, {subject: is_["id"], "Attributes": found})

    return run


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _given(names: Mapping[str, str]) -> dict[str, str]:
    return {name: f"Attributes[?Key=='{key}'].Value | [0]" for name, key in names.items()}


def _logs(account: Account, _: Mapping[str, Any], found: dict[str, Any]) -> None:
    request = {"LoadBalancerArn": found["id"]}
    has = {
        each["Key"]: each["Value"]
        for each in account.call("elbv2", "describe_load_balancer_attributes", request)["Attributes"]
    }
    found["accessLogs"] = {name: has.get(key, "") for name, key in _LOGS.items()}
    found["accessLogs"]["enabled"] = has.get(_LOGS["enabled"]) == "true"
    # CloudWatch's dimensions and a scaling policy's label name a balancer by this end of its ARN.
    found["arnSuffix"] = found["id"].partition(":loadbalancer/")[2]


def _suffix(_: Account, __: Mapping[str, Any], found: dict[str, Any]) -> None:
    found["arnSuffix"] = found["id"].rpartition(":")[2]


def _check(properties: Mapping[str, Any]) -> dict[str, Any]:
    wanted = properties.get("healthCheck", {})
    found: dict[str, Any] = {_CHECK[name]: value for name, value in wanted.items() if name != "matcher"}
    if "matcher" in wanted:
        found["Matcher"] = {"HttpCode": wanted["matcher"]}
    return found


def _targets(properties: Mapping[str, Any]) -> dict[str, Any]:
    members = {"name": "Name", "port": "Port", "protocol": "Protocol", "targetType": "TargetType", "vpcId": "VpcId"}
    return {members[name]: properties[name] for name in members if name in properties} | _check(properties)


_SEEN_CHECK: Final = ", ".join(f"{name}: {member}" for name, member in _CHECK.items())

RESOURCES: Final = (
    Translation(
        token="aws:lb/loadBalancer:LoadBalancer",
        service="elbv2",
        id="answer:LoadBalancers[0].LoadBalancerArn",
        create=Operation(call="create_load_balancer", takes="name loadBalancerType internal subnets securityGroups"),
        made=Wait(waiter="load_balancer_available", keys={"LoadBalancerArns": ["{id}"]}),
        read=Operation(
            call="describe_load_balancers",
            keys={"LoadBalancerArns": ["{id}"]},
            answer="LoadBalancers[0]",
            gives={
                "name": "LoadBalancerName",
                "internal": "Scheme == 'internal'",
                "subnets": "AvailabilityZones[].SubnetId",
            },
        ),
        more=(
            Operation(
                call="describe_load_balancer_attributes", keys={"LoadBalancerArn": "{id}"}, gives=_given(_BALANCER)
            ),
        ),
        after_read=_logs,
        updates=(
            Step(
                takes=f"{' '.join(_BALANCER)} accessLogs",
                run=_attributes("modify_load_balancer_attributes", "LoadBalancerArn", _BALANCER),
            ),
            Operation(call="set_security_groups", takes="securityGroups", keys={"LoadBalancerArn": "{id}"}),
            Operation(call="set_subnets", takes="subnets", keys={"LoadBalancerArn": "{id}"}),
        ),
        delete=Operation(call="delete_load_balancer", keys={"LoadBalancerArn": "{id}"}),
        ended=Wait(waiter="load_balancers_deleted", keys={"LoadBalancerArns": ["{id}"]}),
        names={
            "loadBalancerType": "Type",
            "internal": "Scheme",
            "arn": "LoadBalancerArn",
            "zoneId": "CanonicalHostedZoneId",
        },
        outward={"internal": lambda internal: "internal" if internal else "internet-facing"},
        unordered=frozenset({"subnets", "securityGroups"}),
        named="name",
    ),
    Translation(
        token="aws:lb/targetGroup:TargetGroup",
        service="elbv2",
        id="answer:TargetGroups[0].TargetGroupArn",
        create=Operation(
            call="create_target_group", takes="name port protocol targetType vpcId healthCheck", build=_targets
        ),
        read=Operation(
            call="describe_target_groups",
            keys={"TargetGroupArns": ["{id}"]},
            answer="TargetGroups[0]",
            gives={"healthCheck": f"{{{_SEEN_CHECK}, matcher: Matcher.HttpCode}}"},
        ),
        more=(
            Operation(call="describe_target_group_attributes", keys={"TargetGroupArn": "{id}"}, gives=_given(_TARGETS)),
        ),
        after_read=_suffix,
        updates=(
            Operation(call="modify_target_group", takes="healthCheck", keys={"TargetGroupArn": "{id}"}, build=_check),
            Step(
                takes=" ".join(_TARGETS),
                run=_attributes("modify_target_group_attributes", "TargetGroupArn", _TARGETS),
            ),
        ),
        delete=Operation(call="delete_target_group", keys={"TargetGroupArn": "{id}"}),
        names={"name": "TargetGroupName", "arn": "TargetGroupArn"},
        named="name",
    ),
    Translation(
        token="aws:lb/listener:Listener",
        service="elbv2",
        id="answer:Listeners[0].ListenerArn",
        create=Operation(
            call="create_listener", takes="loadBalancerArn port protocol sslPolicy certificateArn defaultActions"
        ),
        read=Operation(
            call="describe_listeners",
            keys={"ListenerArns": ["{id}"]},
            answer="Listeners[0]",
            gives={"certificateArn": "Certificates[0].CertificateArn"},
        ),
        updates=(
            Operation(
                call="modify_listener",
                takes="port protocol sslPolicy certificateArn defaultActions",
                keys={"ListenerArn": "{id}"},
            ),
        ),
        delete=Operation(call="delete_listener", keys={"ListenerArn": "{id}"}),
        names={
            "arn": "ListenerArn",
            "certificateArn": "Certificates",
            "defaultActions.redirect": "RedirectConfig",
            "defaultActions.forward": "ForwardConfig",
            "defaultActions.fixedResponse": "FixedResponseConfig",
        },
        outward={"certificateArn": lambda arn: [{"certificateArn": arn}]},
    ),
)
