"""Providers that a program gives to a backend in `opts`. It imports no pulumi, because commands import what asks it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pulumi


def has_provider(opts: pulumi.ResourceOptions | None, package: str) -> bool:
    """Return whether a component gets a provider of this package, in `opts` or from the parent there."""
    if opts is None:
        return False
    given = [*_each(opts.provider), *_each(opts.providers)]
    inherited = opts.parent._providers if opts.parent else {}  # noqa: SLF001 - Pulumi has no public name for it
    return package in inherited or any(each.package == package for each in given)


def _each(given: Any) -> list[Any]:
    if given is None:
        return []
    if hasattr(given, "values"):
        return list(given.values())
    return list(given) if isinstance(given, list | tuple) else [given]
