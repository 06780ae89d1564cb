"""Rules on who may call: ingress and listeners. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from mlflow_backend.policy.model import Gathered, NotKnown, known, of_type, policy, stack_policy
from mlflow_backend.policy.stores import BALANCER, CACHE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from mlflow_backend.policy.model import Resource, Violation

INGRESS: Final = "aws:vpc/securityGroupIngressRule:SecurityGroupIngressRule"
OLD_RULE: Final = "aws:ec2/securityGroupRule:SecurityGroupRule"
GROUP: Final = "aws:ec2/securityGroup:SecurityGroup"
DEFAULT_GROUP: Final = "aws:ec2/defaultSecurityGroup:DefaultSecurityGroup"
LISTENER: Final = "aws:lb/listener:Listener"
ADMITTING: Final = frozenset({INGRESS, OLD_RULE, GROUP, DEFAULT_GROUP})
"""All that says who may call whom."""

_BLOCKS: Final = ("cidrIpv4", "cidrIpv6", "cidrBlocks", "ipv6CidrBlocks")
_EVERYBODY: Final = "/0"
_OVER_TLS: Final = frozenset({"HTTPS", "TLS"})
BALANCER_PORTS: Final = frozenset({80, 443})
"""Where anybody may call, and only a balancer: HTTPS, and HTTP that is redirected there."""


@stack_policy(
    "cache-private",
    about={CACHE},
    why="The cache holds the queue of jobs: who can write to it can make the server run them.",
    remediation="Let the cache's security group admit the server's group instead of addresses.",
)
def cache_private(resources: Sequence[Resource]) -> Iterator[Violation]:
    """Only private addresses and security groups of the backend may reach a cache."""
    groups = frozenset().union(*(each.needed("securityGroupIds") for each in of_type(resources, CACHE)))

    def from_outside(entry: Mapping[str, Any], *, admits: bool) -> Iterator[str]:
        if admits and any(not ipaddress.ip_network(block, strict=False).is_private for block in _blocks(entry)):
            yield "addresses outside the network may reach the cache"

    yield from _each_entry(resources, groups, from_outside)


@stack_policy(
    "ingress-closed",
    about=ADMITTING,
    why="Everything else has no business with strangers.",
    remediation="Admit a security group or an address block, or move the port behind the balancer.",
)
def ingress_closed(resources: Sequence[Resource]) -> Iterator[Violation]:
    """From anywhere, only ports 80 and 443 of a balancer may be called."""
    balancers = frozenset().union(*(each.needed("securityGroups") for each in of_type(resources, BALANCER)))
    yield from _each_entry(resources, balancers, _open)


@policy(
    "listener-tls",
    about={LISTENER},
    why="Users send passwords and API keys with every request.",
    remediation="Set aws.network.certificate. A stack behind a VPN without one sets this policy to advisory.",
)
def listener_tls(listener: Resource) -> Iterator[str]:
    """A balancer forwards only what came over TLS; plain HTTP may only redirect."""
    # The targets that it forwards to are not known before they are there; what it does is.
    actions = listener.inputs.get("defaultActions") or ()
    kinds = [action.get("type") if isinstance(action, Mapping) else action for action in _sequence(actions)]
    if listener.get("protocol") in _OVER_TLS or all(kind == "redirect" for kind in kinds):
        return
    if not known(kinds):
        raise NotKnown("defaultActions")
    yield "it forwards requests that came without TLS"


def _each_entry(
    resources: Sequence[Resource], groups: frozenset[str], examine: Callable[..., Iterator[str]]
) -> Iterator[Violation]:
    """Check each entry by which somebody may call; `groups` are the security groups, each by itself."""
    gathered = Gathered()

    def rule(each: Resource) -> Iterator[str]:
        if each.type == OLD_RULE and each.get("type") != "ingress":
            return
        yield from examine(each.inputs, admits=bool(each.needed("securityGroupId") & groups))

    def inline(each: Resource) -> Iterator[str]:
        for entry in _sequence(each.given("ingress") or ()):
            if not isinstance(entry, Mapping):
                raise NotKnown("ingress")
            yield from examine(entry, admits=each.urn in groups)

    yield from gathered.over(of_type(resources, INGRESS, OLD_RULE), rule)
    yield from gathered.over(of_type(resources, GROUP, DEFAULT_GROUP), inline)
    gathered.close()


def _open(entry: Mapping[str, Any], *, admits: bool) -> Iterator[str]:
    """`admits` is whether the entry is a balancer's."""
    if not any(block.endswith(_EVERYBODY) for block in _blocks(entry)):
        return
    first, last = (_known(entry, key) for key in ("fromPort", "toPort"))
    single = first is not None and first == last and int(first) in BALANCER_PORTS
    if not (single and admits):
        yield f"anybody may call {_ports(first, last)}{'' if admits else ' of what is no balancer'}"


def _blocks(entry: Mapping[str, Any]) -> list[str]:
    """Return the address blocks that an entry admits. Raises NotKnown: a block that is not known may be any."""
    return [str(block) for key in _BLOCKS for block in _sequence(_known(entry, key) or ())]


def _known(entry: Mapping[str, Any], key: str) -> Any:
    found = entry.get(key)
    if not known(found):
        raise NotKnown(key)
    return found


def _sequence(value: Any) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else [value]


def _ports(first: Any, last: Any) -> str:
    if first is None or int(first) == -1:
        return "every port"
    return f"port {int(first)}" if first == last else f"ports {int(first)} to {int(last)}"
