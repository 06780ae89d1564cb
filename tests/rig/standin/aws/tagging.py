"""Tags, which every service takes, gives back and changes by calls of its own."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import jmespath

from tests.rig.standin.base import Gone

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from botocore.model import Shape

    from tests.rig.standin.aws.account import Account

_MEMBERS: Final = ("Tags", "tags", "TagSpecifications")
# EC2's name of a resource in a tag specification, if it is not the SDK's word in its spelling.
_EC2_NAMES: Final = {
    "Eip": "elastic-ip",
    "NatGateway": "natgateway",
    "SecurityGroupIngressRule": "security-group-rule",
    "SecurityGroupEgressRule": "security-group-rule",
}


@dataclass(frozen=True, kw_only=True)
class Tagging:
    """How one service tags. `subject` names the resource in its calls, `of` the property that says which."""

    tag: str
    untag: str
    read: str
    at: str
    subject: str
    of: str = "arn"
    listed: bool = False
    member: str = "Tags"
    removed: str = "TagKeys"
    words: tuple[str, str] | None = ("Key", "Value")


_ECS: Final = Tagging(
    tag="tag_resource", untag="untag_resource", read="list_tags_for_resource", at="tags", subject="resourceArn",
    removed="tagKeys",
)  # fmt: skip
SERVICES: Final = {
    "ec2": Tagging(tag="create_tags", untag="delete_tags", read="describe_tags", at="Tags", subject="Resources",
                   of="id", listed=True),
    "ecs": replace(_ECS, member="tags", words=("key", "value")),
    "eks": replace(_ECS, member="tags", words=None),
    "logs": replace(_ECS, member="tags", words=None),
    "elbv2": Tagging(tag="add_tags", untag="remove_tags", read="describe_tags", at="TagDescriptions[0].Tags",
                     subject="ResourceArns", listed=True),
    "rds": Tagging(tag="add_tags_to_resource", untag="remove_tags_from_resource", read="list_tags_for_resource",
                   at="TagList", subject="ResourceName"),
    "elasticache": Tagging(tag="add_tags_to_resource", untag="remove_tags_from_resource", read="list_tags_for_resource",
                           at="TagList", subject="ResourceName"),
    "kms": Tagging(tag="tag_resource", untag="untag_resource", read="list_resource_tags", at="Tags", subject="KeyId",
                   of="keyId", words=("TagKey", "TagValue")),
    "s3": Tagging(tag="put_bucket_tagging", untag="", read="get_bucket_tagging", at="TagSet", subject="Bucket",
                  of="bucket"),
    "iam": Tagging(tag="tag_role", untag="untag_role", read="list_role_tags", at="Tags", subject="RoleName", of="name"),
    "sns": Tagging(tag="tag_resource", untag="untag_resource", read="list_tags_for_resource", at="Tags",
                   subject="ResourceArn"),
    "cloudwatch": Tagging(tag="tag_resource", untag="untag_resource", read="list_tags_for_resource", at="Tags",
                          subject="ResourceARN"),
    "secretsmanager": Tagging(tag="tag_resource", untag="untag_resource", read="describe_secret", at="Tags",
                              subject="SecretId"),
    "application-autoscaling": Tagging(tag="tag_resource", untag="untag_resource", read="list_tags_for_resource",
                                       at="Tags", subject="ResourceARN", words=None),
}  # fmt: skip


def has_member(shape: Shape) -> bool:
    """Return whether a creation takes tags."""
    return any(member in shape.members for member in _MEMBERS)  # type: ignore[attr-defined]


def at_creation(shape: Shape, word: str, tags: Mapping[str, str]) -> dict[str, Any]:
    """Return the members that give a creation its tags; none where it takes none."""
    members = shape.members  # type: ignore[attr-defined]
    if not tags or not has_member(shape):
        return {}
    # RDS has both.
    if "TagSpecifications" in members and "Tags" not in members:
        hyphened = "".join(f"-{each.lower()}" if each.isupper() else each for each in word).strip("-")
        kind = _EC2_NAMES.get(word, hyphened)
        return {"TagSpecifications": [{"ResourceType": kind, "Tags": _pairs(("Key", "Value"), tags)}]}
    member = next(each for each in _MEMBERS if each in members)
    if members[member].type_name == "map":
        return {member: dict(tags)}
    key, value = members[member].member.members
    return {member: _pairs((key, value), tags)}


def actual(account: Account, service: str, scope: Mapping[str, Any]) -> dict[str, str]:
    """Return the tags that a resource has."""
    how = SERVICES[service]
    subject = scope[how.of]
    request: dict[str, Any] = {how.subject: [subject] if how.listed else subject}
    if service == "ec2":
        request = {"Filters": [{"Name": "resource-id", "Values": [subject]}]}
    try:
        answer = account.call(service, how.read, request)
    except Gone:
        # S3 has an error for a bucket without tags.
        return {}
    found = jmespath.search(how.at, answer) or {}
    if how.words is None:
        return dict(found)
    key, value = how.words
    return {each[key]: each[value] for each in found if not each[key].startswith("aws:")}


def changes(
    service: str, scope: Mapping[str, Any], wanted: Mapping[str, str], has: Mapping[str, str]
) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the calls that lead from the tags that a resource has to those that are wanted."""
    how = SERVICES[service]
    subject = {how.subject: [scope[how.of]] if how.listed else scope[how.of]}
    if service == "s3":
        yield how.tag, {**subject, "Tagging": {"TagSet": _pairs(("Key", "Value"), wanted)}}
        return
    added = {key: value for key, value in wanted.items() if has.get(key) != value}
    if added:
        yield how.tag, {**subject, how.member: dict(added) if how.words is None else _pairs(how.words, added)}
    removed = sorted(set(has) - set(wanted))
    if removed:
        ended: Any = [{"Key": key} for key in removed] if service == "ec2" else removed
        yield how.untag, {**subject, "Tags" if service == "ec2" else how.removed: ended}


def _pairs(words: tuple[str, str], tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{words[0]: key, words[1]: value} for key, value in sorted(tags.items())]
