"""Records in a zone."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from tests.rig.standin.aws.resource import Operation, Step, Translation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.rig.standin.aws.account import Account


def _record(is_: Mapping[str, Any]) -> dict[str, Any]:
    (alias,) = is_["aliases"]
    return {
        "Name": is_["name"],
        "Type": is_["type"],
        "AliasTarget": {
            "HostedZoneId": alias["zoneId"],
            "DNSName": alias["name"],
            "EvaluateTargetHealth": alias["evaluateTargetHealth"],
        },
    }


def _request(action: str, is_: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "HostedZoneId": is_["zoneId"],
        "ChangeBatch": {"Changes": [{"Action": action, "ResourceRecordSet": _record(is_)}]},
    }


def _put(account: Account, is_: Mapping[str, Any], wanted: Mapping[str, Any]) -> None:
    account.call("route53", "change_resource_record_sets", _request("UPSERT", {**is_, **wanted}))


def _dots(_: Account, __: Mapping[str, Any], found: dict[str, Any]) -> None:
    """Route 53 answers names with a dot at the end, and the real provider takes it off."""
    found["fqdn"] = found["name"] = found["name"].rstrip(".")
    for alias in found.get("aliases") or []:
        alias["name"] = alias["name"].rstrip(".")


RESOURCES: Final = (
    Translation(
        token="aws:route53/record:Record",
        service="route53",
        id="{zoneId}_{name}_{type}",
        create=Operation(
            call="change_resource_record_sets",
            takes="zoneId name type aliases",
            build=lambda wanted: _request("CREATE", wanted),
        ),
        read=Operation(
            call="list_resource_record_sets",
            keys={"HostedZoneId": "{zoneId}", "StartRecordName": "{name}", "StartRecordType": "{type}"},
            answer="ResourceRecordSets[?Type=='$type' && (Name=='$name' || Name=='$name.')] | [0]",
            gives={
                "aliases": "[AliasTarget][].{name: DNSName, zoneId: HostedZoneId, "
                "evaluateTargetHealth: EvaluateTargetHealth}"
            },
        ),
        after_read=_dots,
        updates=(Step(takes="aliases", run=_put),),
        delete=Operation(call="change_resource_record_sets"),
        delete_with=lambda scope: _request("DELETE", scope),
        computed={"zoneId": "{zoneId}"},
    ),
)
