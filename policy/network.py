"""Rules on who may call: ingress and listeners. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from policy.model import Gathered, of_type
from policy.stores import BALANCER, INGRESS

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from policy.model import Resource, Violation

GROUP: Final = "aws:ec2/securityGroup:SecurityGroup"
DEFAULT_GROUP: Final = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
OLD_RULE: Final = "aws:ec2/securityGroupRule:SecurityGroupRule"
LISTENER: Final = "aws:lb/listener:Listener"

_EVERYBODY: Final = frozenset({"0.0.0.0/0", "::/0"})
BALANCER_PORTS: Final = frozenset({80, 443})
"""Where anybody may call, and only a balancer: HTTPS, and HTTP that is redirected there."""


def ingress_closed(resources: Sequence[Resource]) -> Iterator[Violation]:
    """From anywhere, only a balancer's ports may be called."""
    gathered = Gathered()
    balancers = frozenset().union(*(each.needed("securityGroups") for each in of_type(resources, BALANCER)))

    def rule(each: Resource) -> Iterator[str]:
        if each.type == OLD_RULE and each.get("type") != "ingress":
            return
        yield from _open(each, each.inputs, of_balancer=bool(each.needed("securityGroupId") & balancers))

    def inline(each: Resource) -> Iterator[str]:
        for entry in each.get("ingress", default=()):
            yield from _open(each, entry, of_balancer=each.urn in balancers)

    yield from gathered.over(of_type(resources, INGRESS, OLD_RULE), rule)
    yield from gathered.over(of_type(resources, GROUP, DEFAULT_GROUP), inline)
    gathered.close()


def listener_tls(listener: Resource) -> Iterator[str]:
    """A listener that forwards requests speaks TLS; plain HTTP may only redirect."""
    # The targets that it forwards to are not known before they are there; what it does is.
    actions = listener.inputs.get("defaultActions") or ()
    forwards = any(isinstance(action, Mapping) and action.get("type") != "redirect" for action in actions)
    if listener.get("protocol") in {"HTTP", "TCP", "UDP"} and forwards:
        yield "it forwards requests that came without TLS"


def _open(each: Resource, entry: Mapping[str, Any], *, of_balancer: bool) -> Iterator[str]:
    del each
    blocks = [entry.get("cidrIpv4"), entry.get("cidrIpv6"), *(entry.get("cidrBlocks") or ())]
    if not _EVERYBODY & {block for block in (*blocks, *(entry.get("ipv6CidrBlocks") or ())) if isinstance(block, str)}:
        return
    first, last = entry.get("fromPort"), entry.get("toPort")
    single = first is not None and first == last and int(first) in BALANCER_PORTS
    if not (single and of_balancer):
        yield f"anybody may call {_ports(first, last)}{'' if of_balancer else ' of what is no balancer'}"


def _ports(first: Any, last: Any) -> str:
    if first is None or int(first) == -1:
        return "every port"
    return f"port {int(first)}" if first == last else f"ports {int(first)} to {int(last)}"
