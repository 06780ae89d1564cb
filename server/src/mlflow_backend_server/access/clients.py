"""The address of a request's client, and the scheme that it used, as far as the proxies in front say. Pure."""

from __future__ import annotations

import ipaddress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_SCHEMES = frozenset({"http", "https"})
#: What one customer of a provider usually has of IPv6: whoever is limited must not go on from the next address of it.
_IPV6_PREFIX = 64


def address(peer: str, headers: Mapping[str, str], proxies: int) -> str:
    """Return the client's address: what the outermost of our `proxies` saw, or the `peer` if none is in front.

    Each proxy adds the address that it was called from to the end of X-Forwarded-For, so whatever a caller writes there
    himself is further to the left. A request that did not come through all of them has the peer's address.
    """
    hop = _from_right(headers.get("x-forwarded-for", ""), proxies)
    return _canonical(_without_port(hop)) or _canonical(peer) or peer


def scheme(spoken: str, headers: Mapping[str, str], proxies: int) -> str:
    """Return the scheme that the client used: `spoken` to this server, unless the proxies in front name another."""
    if not proxies:
        return spoken
    named = headers.get("x-forwarded-proto", "").rpartition(",")[2].strip().lower()
    return named if named in _SCHEMES else spoken


def forwarded(headers: Mapping[str, str], proxies: int) -> bool:
    """Return whether a request came through all `proxies` in front."""
    return not proxies or bool(_from_right(headers.get("x-forwarded-for", ""), proxies))


def network(client: str) -> str:
    """Return what is limited as one client: an IPv4 address, or the network that an IPv6 address is part of."""
    try:
        parsed = ipaddress.ip_address(client)
    except ValueError:
        return client
    if parsed.version == 4:  # noqa: PLR2004 - the version of the protocol
        return client
    return str(ipaddress.ip_network((parsed, _IPV6_PREFIX), strict=False))


def _canonical(text: str) -> str:
    """Return an address as one client always has it, "" for none: a socket for both families writes IPv4 as IPv6."""
    try:
        parsed = ipaddress.ip_address(text)
    except ValueError:
        return ""
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


def _from_right(hops: str, position: int) -> str:
    listed = [hop.strip() for hop in hops.split(",")] if hops.strip() else []
    return listed[-position] if 0 < position <= len(listed) else ""


def _without_port(hop: str) -> str:
    if hop.startswith("["):
        return hop[1:].partition("]")[0]
    return hop.partition(":")[0] if hop.count(":") == 1 else hop
