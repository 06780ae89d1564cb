"""What AWS promises of a zone and its records: held on the rig and against bare moto, as test_aws_repairs.py's own."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from botocore.exceptions import ClientError
from moto.route53.models import route53_backends

from tests.rig.aws.server import ACCOUNT, MotoServer

if TYPE_CHECKING:
    from collections.abc import Callable

Aws = MotoServer
_ZONES: Final = 8


def balancer(aws: Aws) -> dict[str, Any]:
    """Return a balancer as it is described."""
    elb = aws.client("elbv2")
    if held := elb.describe_load_balancers()["LoadBalancers"]:
        return dict(held[0])
    ec2 = aws.client("ec2")
    vpc = ec2.create_vpc(CidrBlock="10.1.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.1.0.0/24")["Subnet"]["SubnetId"]
    return dict(elb.create_load_balancer(Name="repairs", Subnets=[subnet])["LoadBalancers"][0])


class Zone:
    """A hosted zone of its own, and the alias of a balancer in it."""

    def __init__(self, aws: Aws) -> None:
        """Make it, without the alias."""
        self._client, made = aws.client("route53"), balancer(aws)
        zone = self._client.create_hosted_zone(Name="example.com", CallerReference="repairs")
        self.id, self._name = zone["HostedZone"]["Id"].rpartition("/")[2], "mlflow.example.com"
        self._target, self._balancers_zone = made["DNSName"], made["CanonicalHostedZoneId"]

    def change(self, action: str, *, zone: str | None = None, target: str | None = None, healthy: bool = False) -> bool:
        """Return whether a change of the alias is taken; to the balancer unless something else is said."""
        alias = {
            "HostedZoneId": zone or self._balancers_zone,
            "DNSName": target or self._target,
            "EvaluateTargetHealth": healthy,
        }
        record = {"Name": self._name, "Type": "A", "AliasTarget": alias}
        changes = {"Changes": [{"Action": action, "ResourceRecordSet": record}]}
        try:
            self._client.change_resource_record_sets(HostedZoneId=self.id, ChangeBatch=changes)
        except ClientError as error:
            if error.response["Error"]["Code"] != "InvalidChangeBatch":
                raise
            return False
        return True

    def aliases(self) -> list[str]:
        """Return the names that the zone's aliases answer; as moto holds them, for bare it lets no listing in."""
        records = route53_backends[ACCOUNT]["aws"].get_hosted_zone(self.id).rrsets
        return [each.alias_target["DNSName"] for each in records if each.alias_target]


def alias_dot(aws: Aws) -> bool:
    """An alias is answered with a dot at its end, whoever made it without."""
    zone = Zone(aws)
    assert zone.change("CREATE")
    return zone.aliases() == [f"{balancer(aws)['DNSName'].lower()}."]


def alias_zone(aws: Aws) -> bool:
    """An alias of a balancer names the balancer's zone; the record's own, or another, is refused."""
    zone = Zone(aws)
    return not zone.change("CREATE", zone=zone.id) and zone.change("CREATE")


def alias_target(aws: Aws) -> bool:
    """An alias of a balancer that is not there is refused."""
    return not Zone(aws).change("UPSERT", target="gone.eu-west-1.elb.amazonaws.com")


def record_once(aws: Aws) -> bool:
    """A record that is there is not created again, whatever its values."""
    zone = Zone(aws)
    return zone.change("CREATE") and not zone.change("CREATE", healthy=True)


def record_deleted_by_value(aws: Aws) -> bool:
    """A record is deleted by the values that it has, and not by those that somebody remembers."""
    zone = Zone(aws)
    return zone.change("CREATE") and not zone.change("DELETE", healthy=True) and zone.change("DELETE")


def record_deleted_once(aws: Aws) -> bool:
    """A record that is gone is not deleted again."""
    zone = Zone(aws)
    return zone.change("CREATE") and zone.change("DELETE") and not zone.change("DELETE")


def zone_id(aws: Aws) -> bool:
    """A zone's id begins with a Z, by which it is known in settings."""
    # moto draws from 36 letters: one zone alone would be right by chance now and then.
    return all(Zone(aws).id.startswith("Z") for _ in range(_ZONES))


PROMISES: Final[tuple[Callable[[Aws], bool], ...]] = (
    zone_id, alias_dot, alias_zone, alias_target, record_once, record_deleted_by_value, record_deleted_once,
)  # fmt: skip
