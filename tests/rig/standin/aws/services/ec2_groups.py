"""Security groups and their rules."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.rig.standin.aws.resource import Operation, Step, Translation
from tests.rig.standin.base import Refused

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.rig.standin.aws.account import Account

_ARN: Final = "arn:{partition}:ec2:{region}:{account}"
_REVOKE: Final = {"ingress": "revoke_security_group_ingress", "egress": "revoke_security_group_egress"}
_MEMBERS: Final = {"ingress": "IpPermissions", "egress": "IpPermissionsEgress"}


def _group(account: Account, id_: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = account.call("ec2", "describe_security_groups", {"GroupIds": [id_]})["SecurityGroups"][0]
    return found


def _revoke_all(account: Account, id_: str, direction: str) -> None:
    rules = _group(account, id_).get(_MEMBERS[direction], [])
    if rules:
        account.call("ec2", _REVOKE[direction], {"GroupId": id_, "IpPermissions": rules})


def _revoke_first_egress(account: Account, scope: Mapping[str, Any]) -> None:
    """A new group may reach everything; the real provider takes that away at once."""
    _revoke_all(account, scope["id"], "egress")


def _empty(account: Account, is_: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for direction in _REVOKE:
        if wanted.get(direction):
            raise Refused("rules inside a group are not translated: resources of their own are")
        if direction in wanted:
            _revoke_all(account, is_["id"], direction)


def _rules(account: Account, _: Mapping[str, Any], found: dict[str, Any]) -> None:
    group = _group(account, found["id"])
    for direction, member in _MEMBERS.items():
        found[direction] = [
            {
                "protocol": each["IpProtocol"],
                "fromPort": each.get("FromPort", 0),
                "toPort": each.get("ToPort", 0),
                "cidrBlocks": [item["CidrIp"] for item in each.get("IpRanges", [])],
                "securityGroups": [item["GroupId"] for item in each.get("UserIdGroupPairs", [])],
                "prefixListIds": [item["PrefixListId"] for item in each.get("PrefixListIds", [])],
            }
            for each in group.get(member, [])
        ]


def _permission(wanted: Mapping[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = {"IpProtocol": wanted["ipProtocol"]}
    said = {"Description": wanted["description"]} if "description" in wanted else {}
    for name, member in (("fromPort", "FromPort"), ("toPort", "ToPort")):
        if name in wanted:
            found[member] = wanted[name]
    if "cidrIpv4" in wanted:
        found["IpRanges"] = [{"CidrIp": wanted["cidrIpv4"], **said}]
    if "prefixListId" in wanted:
        found["PrefixListIds"] = [{"PrefixListId": wanted["prefixListId"], **said}]
    if "referencedSecurityGroupId" in wanted:
        found["UserIdGroupPairs"] = [{"GroupId": wanted["referencedSecurityGroupId"], **said}]
    return {"IpPermissions": [found]}


def _modified(wanted: Mapping[str, Any]) -> dict[str, Any]:
    members = {
        "ipProtocol": "IpProtocol",
        "fromPort": "FromPort",
        "toPort": "ToPort",
        "cidrIpv4": "CidrIpv4",
        "prefixListId": "PrefixListId",
        "referencedSecurityGroupId": "ReferencedGroupId",
        "description": "Description",
    }
    return {members[name]: value for name, value in wanted.items()}


def _change_rule(account: Account, is_: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    rule = {"SecurityGroupRuleId": is_["id"], "SecurityGroupRule": _modified(wanted)}
    request = {"GroupId": is_["securityGroupId"], "SecurityGroupRules": [rule]}
    account.call("ec2", "modify_security_group_rules", request)


_RULE: Final = "ipProtocol fromPort toPort cidrIpv4 prefixListId referencedSecurityGroupId description"


def _rule(direction: str) -> Translation:
    word = direction.capitalize()
    return Translation(
        token=f"aws:vpc/securityGroup{word}Rule:SecurityGroup{word}Rule",
        service="ec2",
        id="answer:SecurityGroupRules[0].SecurityGroupRuleId",
        create=Operation(
            call=f"authorize_security_group_{direction}",
            takes=_RULE,
            keys={"GroupId": "{securityGroupId}"},
            build=_permission,
        ),
        read=Operation(
            call="describe_security_group_rules",
            keys={"SecurityGroupRuleIds": ["{id}"]},
            answer="SecurityGroupRules[0]",
            gives={"referencedSecurityGroupId": "ReferencedGroupInfo.GroupId"},
        ),
        updates=(Step(takes=_RULE, run=_change_rule),),
        delete=Operation(
            call=_REVOKE[direction], keys={"GroupId": "{securityGroupId}", "SecurityGroupRuleIds": ["{id}"]}
        ),
        names={"securityGroupId": "GroupId"},
        computed={"arn": f"{_ARN}:security-group-rule/{{id}}"},
    )


RESOURCES: Final = (
    Translation(
        token="aws:ec2/securityGroup:SecurityGroup",
        service="ec2",
        id="answer:GroupId",
        create=Operation(call="create_security_group", takes="name description vpcId"),
        after_create=_revoke_first_egress,
        read=Operation(call="describe_security_groups", keys={"GroupIds": ["{id}"]}, answer="SecurityGroups[0]"),
        after_read=_rules,
        # EC2 renames and describes no group anew: there is no operation for it.
        delete=Operation(call="delete_security_group", keys={"GroupId": "{id}"}),
        names={"name": "GroupName"},
        named="name",
        computed={"arn": f"{_ARN}:security-group/{{id}}"},
    ),
    Translation(
        token="aws:ec2/defaultSecurityGroup:DefaultSecurityGroup",
        service="ec2",
        # Adopted, never made: every VPC has one, which ends with it.
        id="answer:SecurityGroups[0].GroupId",
        create=Operation(
            call="describe_security_groups",
            keys={
                "Filters": [{"Name": "vpc-id", "Values": ["{vpcId}"]}, {"Name": "group-name", "Values": ["default"]}]
            },
        ),
        read=Operation(call="describe_security_groups", keys={"GroupIds": ["{id}"]}, answer="SecurityGroups[0]"),
        after_read=_rules,
        updates=(Step(takes="ingress egress", run=_empty),),
        delete=None,
        names={"name": "GroupName"},
        computed={"arn": f"{_ARN}:security-group/{{id}}"},
    ),
    _rule("ingress"),
    _rule("egress"),
)
