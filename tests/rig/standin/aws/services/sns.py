"""Topics, their policies and subscriptions."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.rig.standin.aws.resource import Operation, Step, Translation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.rig.standin.aws.account import Account

_ATTRIBUTES: Final = {"kmsMasterKeyId": "KmsMasterKeyId", "displayName": "DisplayName", "policy": "Policy"}


def _set(account: Account, is_: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    for name, value in wanted.items():
        request = {"TopicArn": is_["id"], "AttributeName": _ATTRIBUTES[name], "AttributeValue": value}
        account.call("sns", "set_topic_attributes", request)


RESOURCES: Final = (
    Translation(
        token="aws:sns/topic:Topic",
        service="sns",
        id="answer:TopicArn",
        create=Operation(call="create_topic", takes="name"),
        read=Operation(call="get_topic_attributes", keys={"TopicArn": "{id}"}, answer="Attributes"),
        updates=(Step(takes="kmsMasterKeyId", run=_set), Step(takes="displayName", run=_set)),
        delete=Operation(call="delete_topic", keys={"TopicArn": "{id}"}),
        names={"arn": "TopicArn"},
        after_read=lambda _, __, found: found.__setitem__("name", found["id"].rpartition(":")[2]),
        named="name",
    ),
    Translation(
        token="aws:sns/topicPolicy:TopicPolicy",
        service="sns",
        id="{arn}",
        create=Operation(
            call="set_topic_attributes",
            takes="arn policy",
            build=lambda wanted: {
                "TopicArn": wanted["arn"],
                "AttributeName": "Policy",
                "AttributeValue": wanted["policy"],
            },
        ),
        read=Operation(
            call="get_topic_attributes", keys={"TopicArn": "{id}"}, answer="Attributes", gives={"arn": "TopicArn"}
        ),
        updates=(Step(takes="policy", run=_set),),
        # With its topic; a topic always has a policy.
        delete=None,
        documents=frozenset({"policy"}),
    ),
    Translation(
        token="aws:sns/topicSubscription:TopicSubscription",
        service="sns",
        id="answer:SubscriptionArn",
        create=Operation(call="subscribe", takes="topic protocol endpoint", keys={"ReturnSubscriptionArn": True}),
        read=Operation(call="get_subscription_attributes", keys={"SubscriptionArn": "{id}"}, answer="Attributes"),
        delete=Operation(call="unsubscribe", keys={"SubscriptionArn": "{id}"}),
        names={"topic": "TopicArn", "arn": "SubscriptionArn"},
    ),
)
