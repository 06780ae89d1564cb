"""ELBv2 with a data path: a balancer's name is an address on loopback, its listeners listen, its targets are asked."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from moto.elbv2.models import ELBv2Backend, FakeHealthStatus, FakeLoadBalancer, elbv2_backends

from tests.rig.aws.server import ACCOUNT, REGION
from tests.rig.balancing import HealthRule
from tests.rig.loops import Loop
from tests.rig.proxy import Listener

if TYPE_CHECKING:
    from tests.rig.authority import Authority
    from tests.rig.balancing import Balancers
    from tests.rig.loopback import Block
    from tests.rig.patches import Patches

_TICK_S: Final = 0.1
_IDLE_S: Final = 60.0
_REASONS: Final = {
    "initial": ("Elb.InitialHealthChecking", "Initial health checks in progress"),
    "unhealthy": ("Target.ResponseCodeMismatch", "Health checks failed"),
    "draining": ("Target.DeregistrationInProgress", "Target deregistration is in progress"),
    "unused": ("Target.NotRegistered", "Target is not registered to the target group"),
}


def rule_of(group_arn: str) -> HealthRule:
    """Return a target group's rule as moto holds it."""
    group = elbv2_backends[ACCOUNT][REGION].target_groups[group_arn]
    matcher = str((group.matcher or {}).get("HttpCode") or "200")
    return HealthRule(
        path=group.health_check_path or "/",
        statuses=frozenset(int(each) for each in matcher.split(",") if each.isdigit()),
        interval_s=float(group.health_check_interval_seconds or 30),
        timeout_s=float(group.health_check_timeout_seconds or 5),
        healthy_after=int(group.healthy_threshold_count or 5),
        unhealthy_after=int(group.unhealthy_threshold_count or 2),
        drain_s=float(str(group.attributes.get("deregistration_delay.timeout_seconds", 300))),
    )


class Balancing:
    """Keeps the data path as the control plane has it."""

    def __init__(self, patches: Patches, balancers: Balancers, block: Block, authority: Authority) -> None:
        """Begin."""
        self._balancers, self._authority = balancers, authority
        self._listening: dict[str, tuple[str, int, str]] = {}
        _install(patches, balancers, block)
        loop = Loop("listeners", self._follow, pause_s=_TICK_S)
        patches.callback(loop.check)
        patches.callback(loop.stop)

    def _follow(self) -> None:
        wanted = _wanted()
        for arn, held in list(self._listening.items()):
            if wanted.get(arn, (None, None))[0] != held:
                self._balancers.proxy.unlisten(*held[:2])
                del self._listening[arn]
        for arn, (place, listener) in wanted.items():
            if arn not in self._listening:
                self._listen(place, listener)
                self._listening[arn] = place

    def _listen(self, place: tuple[str, int, str], listener: Any) -> None:
        address, port, _ = place
        action = listener.default_actions[0].data
        group = action.get("TargetGroupArn") or ""
        redirect = action.get("RedirectConfig")
        balancer = elbv2_backends[ACCOUNT][REGION].load_balancers[listener.load_balancer_arn]
        self._balancers.proxy.listen(
            Listener(
                address=address,
                port=port,
                choose=lambda: self._balancers.choose(group),
                idle_s=float(str(balancer.attrs.get("idle_timeout.timeout_seconds") or _IDLE_S)),
                redirect=f"https://{address}" if redirect else "",
                context=self._authority.context(address) if listener.protocol == "HTTPS" else None,
            )
        )


def _wanted() -> dict[str, tuple[tuple[str, int, str], Any]]:
    backend = elbv2_backends[ACCOUNT][REGION]
    found = {}
    for balancer in list(backend.load_balancers.values()):
        for listener in list(balancer.listeners.values()):
            place = (balancer.dns_name, int(listener.port), f"{listener.protocol} {listener.default_actions[0].data}")
            found[listener.arn] = (place, listener)
    return found


def _install(patches: Patches, balancers: Balancers, block: Block) -> None:
    def initialise(balancer: FakeLoadBalancer, **given: Any) -> None:
        # No name of Amazon's resolves here, and what resolves to loopback everywhere is an address.
        before_init(balancer, **{**given, "dns_name": block.address()})

    def describe(backend: ELBv2Backend, arn: str, targets: list[dict[str, Any]]) -> list[FakeHealthStatus]:
        group = backend.target_groups.get(arn)
        members = balancers.members(arn)
        if group is None or (not members and not targets):
            return list(before_describe(backend, arn, targets))
        asked = [(each["Id"], int(each.get("Port") or group.port)) for each in targets] or list(members)
        found = []
        for address, port in asked:
            state = members.get((address, port), "unused")
            reason, words = _REASONS.get(state, (None, None))
            found.append(FakeHealthStatus(address, str(port), group.health_check_port, state, reason, words))
        return found

    before_init = patches.put(FakeLoadBalancer, "__init__", initialise)
    before_describe = patches.put(ELBv2Backend, "describe_target_health", describe)
