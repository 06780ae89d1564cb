"""Route 53's records: what moto takes and AWS refuses, and how AWS spells an alias and a zone's id.

AWS makes a record once, deletes it only by the values that it has, and takes an alias of a balancer only in the
balancer's own zone (Route 53 API reference, ChangeResourceRecordSets; its sentences are those that users report).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from moto.elbv2.models import elbv2_backends
from moto.route53 import models
from moto.route53.exceptions import ResourceRecordAlreadyExists, Route53ClientError
from moto.route53.models import RecordSet, Route53Backend

from tests.rig.aws.server import ACCOUNT, REGION

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from tests.rig.patches import Patches


def install(patches: Patches) -> None:
    """Refuse and spell as AWS does from now on."""

    def change(backend: Route53Backend, zone: str, changes: Sequence[Mapping[str, Any]]) -> None:
        for each in changes:
            record = each["ResourceRecordSet"]
            _check(each["Action"], record, _held(backend, zone, record))
            if "AliasTarget" in record:
                record["AliasTarget"]["DNSName"] = _spelt(record["AliasTarget"]["DNSName"])
        before(backend, zone, changes)

    def draw(**named: Any) -> str:
        return f"Z{before_draw(**named)[1:]}"

    before_draw = patches.put(models, "create_route53_zone_id", draw)
    before = patches.put(Route53Backend, "change_resource_record_sets", change)


def _check(action: str, record: Mapping[str, Any], held: RecordSet | None) -> None:
    name, kind = _spelt(record["Name"]), record["Type"]
    if action == "CREATE" and held is not None:
        raise ResourceRecordAlreadyExists(name=name, _type=kind)
    if action != "DELETE":
        _check_alias(record)
        return
    deleting = f"Tried to delete resource record set [name='{name}', type='{kind}'] but"
    if held is None:
        raise _invalid(f"{deleting} it was not found")
    if _alias(record.get("AliasTarget")) != _alias(held.alias_target):
        raise _invalid(f"{deleting} the values provided do not match the current values")


def _check_alias(record: Mapping[str, Any]) -> None:
    """Look for a balancer of that name in that zone; no other alias is made here."""
    alias = _alias(record.get("AliasTarget"))
    if alias is None:
        return
    target, zone, _ = alias
    says = f"Tried to create an alias that targets {target}, type {record['Type']} in zone {zone}, but"
    balancers = elbv2_backends[ACCOUNT][REGION].load_balancers.values()
    zones = {_spelt(each.dns_name): each.canonical_hosted_zone_id for each in balancers}
    if target not in zones:
        raise _invalid(f"{says} that target was not found")
    if zones[target] != zone:
        raise _invalid(f"{says} the alias target name does not lie within the target zone")


def _held(backend: Route53Backend, zone: str, record: Mapping[str, Any]) -> RecordSet | None:
    wanted = (_spelt(record["Name"]), record["Type"])
    return next(
        (each for each in backend.get_hosted_zone(zone).rrsets if (_spelt(each.name), each.type) == wanted), None
    )


def _alias(target: Mapping[str, Any] | None) -> tuple[str, str, bool] | None:
    if target is None:
        return None
    healthy = str(target["EvaluateTargetHealth"]).lower() == "true"
    return _spelt(target["DNSName"]), target["HostedZoneId"], healthy


def _spelt(name: str) -> str:
    """Return a name as AWS answers it: in lower case, with a dot at the end."""
    return f"{name.rstrip('.').lower()}."


def _invalid(message: str) -> Route53ClientError:
    return Route53ClientError("InvalidChangeBatch", message)
