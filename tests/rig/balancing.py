"""Target groups: who is in them, whether they answer, and how they leave. Shared by every platform with a balancer."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

import urllib3

from tests.rig.loops import Loop
from tests.rig.proxy import Proxy, Target

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.rig.clock import Clock

_TICK_S: Final = 0.05
_NEVER: Final = float("inf")


@dataclass(frozen=True, kw_only=True)
class HealthRule:
    """How a target's health is decided; seconds are the platform's."""

    path: str = "/"
    statuses: frozenset[int] = frozenset({200})
    interval_s: float = 30
    timeout_s: float = 5
    healthy_after: int = 5
    unhealthy_after: int = 2
    drain_s: float = 300


@dataclass(eq=False, kw_only=True)
class Member:
    """A target with its state: initial, healthy, unhealthy or draining."""

    target: Target
    state: str = "initial"
    good: int = 0
    bad: int = 0
    ask_after: float = 0.0
    drain_until: float = _NEVER
    drained: bool = False
    asking: bool = False


@dataclass(eq=False, kw_only=True)
class Group:
    """One target group."""

    rule: Callable[[], HealthRule]
    members: dict[tuple[str, int], Member] = field(default_factory=dict)


class Balancers:
    """All target groups by name, with a thread that asks their members."""

    def __init__(self, clock: Clock, rule: Callable[[str], HealthRule]) -> None:
        """Begin to ask. `rule` returns a group's rule by the group's name, anew each time."""
        self.proxy = Proxy()
        self._clock, self._rule = clock, rule
        self._groups: dict[str, Group] = {}
        self._lock = threading.RLock()
        self._pool = urllib3.PoolManager(retries=False, maxsize=8)
        self._loop = Loop("target health", self._look, pause_s=_TICK_S)

    def close(self) -> None:
        """Stop."""
        self._loop.stop()
        self.proxy.close()
        self._pool.clear()
        self._loop.check()

    def register(self, group: str, address: str, port: int) -> None:
        """Take a target in; it gets requests once it is healthy."""
        with self._lock:
            held = self._groups.setdefault(group, Group(rule=lambda: self._rule(group)))
            held.members[address, port] = Member(target=Target(address=address, port=port))

    def deregister(self, group: str, address: str, port: int) -> None:
        """Give a target no more requests; those under way may end within the drain time."""
        with self._lock:
            member = self._member(group, address, port)
            if member is not None and member.state != "draining":
                seconds = self._groups[group].rule().drain_s
                member.state, member.drain_until = "draining", time.monotonic() + self._clock.every(seconds)

    def drained(self, group: str, address: str, port: int) -> bool:
        """Return whether a target may be ended: nothing is under way, or its time is over."""
        with self._lock:
            member = self._member(group, address, port)
        return member is None or member.drained

    def forget(self, group: str, address: str, port: int) -> None:
        """Drop a target that is gone."""
        with self._lock:
            member = self._groups[group].members.pop((address, port), None) if group in self._groups else None
        if member is not None:
            self.proxy.retire(member.target)

    def health(self, group: str, address: str, port: int) -> str:
        """Return a target's state; 'unused' for one that is not in the group."""
        with self._lock:
            member = self._member(group, address, port)
            return "unused" if member is None else member.state

    def members(self, group: str) -> dict[tuple[str, int], str]:
        """Return the states of a group's targets."""
        with self._lock:
            held = self._groups.get(group)
            return {} if held is None else {place: member.state for place, member in held.members.items()}

    def choose(self, group: str) -> Target | None:
        """Return the healthy target with the fewest requests under way.

        Where none is healthy every one that is not draining gets requests, as an application load balancer does.
        """
        with self._lock:
            held = self._groups.get(group)
            members = [each for each in held.members.values() if each.state != "draining"] if held else []
            fit = [each for each in members if each.state == "healthy"] or members
            return min((each.target for each in fit), key=lambda target: target.outstanding, default=None)

    def _member(self, group: str, address: str, port: int) -> Member | None:
        held = self._groups.get(group)
        return None if held is None else held.members.get((address, port))

    def _look(self) -> None:
        with self._lock:
            members = [(held, member) for held in self._groups.values() for member in held.members.values()]
        for group, member in members:
            if member.state == "draining":
                self._drain(member)
            elif time.monotonic() >= member.ask_after and not member.asking:
                rule = group.rule()
                member.ask_after = time.monotonic() + self._clock.every(rule.interval_s)
                member.asking = True
                threading.Thread(target=self._ask, args=(member, rule), daemon=True).start()

    def _drain(self, member: Member) -> None:
        if member.drained or (member.target.outstanding and time.monotonic() < member.drain_until):
            return
        self.proxy.retire(member.target)
        member.drained = True

    def _ask(self, member: Member, rule: HealthRule) -> None:
        place = f"http://{member.target.address}:{member.target.port}{rule.path}"
        try:
            fine = self._pool.request("GET", place, timeout=rule.timeout_s).status in rule.statuses
        except urllib3.exceptions.HTTPError:
            fine = False
        with self._lock:
            member.asking = False
            member.good, member.bad = (member.good + 1, 0) if fine else (0, member.bad + 1)
            if member.state == "draining":
                return
            # The first good answer of a target that was never judged is enough (Elastic Load Balancing user guide).
            needed = 1 if member.state == "initial" else rule.healthy_after
            if member.good >= needed:
                member.state = "healthy"
            elif member.bad >= rule.unhealthy_after:
                member.state = "unhealthy"
