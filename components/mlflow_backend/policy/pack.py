"""The policies as the engine takes them: resources made plain, violations reported, the unknown said to be unknown.

Nothing is decided here. An input that is not known yet raises the policy library's own error for unknown values, which
it reports as such, so that no level makes it a violation or a pass.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from pulumi_policy import (
    EnforcementLevel,
    PolicyPack,
    ResourceValidationArgs,
    ResourceValidationPolicy,
    StackValidationArgs,
    StackValidationPolicy,
)
from pulumi_policy.proxy import UNKNOWN_STRING_VALUE, UnknownValueError

from mlflow_backend.policy.catalogue import PACK, POLICIES
from mlflow_backend.policy.model import UNKNOWN, NotKnown, Resource

if TYPE_CHECKING:
    from pulumi_policy import PolicyResource, ReportViolation

    from mlflow_backend.policy.model import Policy

_AWS: Final = "aws:"


def serve() -> None:
    """Serve every policy to the engine that started this process, until it ends it."""
    PolicyPack(PACK, policies=[offered(policy) for policy in POLICIES])


def offered(policy: Policy) -> ResourceValidationPolicy | StackValidationPolicy:
    """Return a policy as the engine takes it."""
    shared: dict[str, Any] = {
        "name": policy.name,
        "description": policy.what,
        "enforcement_level": EnforcementLevel(policy.level),
        "remediation_steps": policy.remediation,
    }
    if policy.evaluate is not None:
        return ResourceValidationPolicy(validate=_by_resource(policy), **shared)
    return StackValidationPolicy(validate=_by_stack(policy), **shared)


def _by_resource(policy: Policy) -> Any:
    def validate(args: ResourceValidationArgs, report: ReportViolation) -> None:
        if not (args.resource_type in policy.types if policy.types else taggable(args.resource_type)):
            args.not_applicable(f"not about {args.resource_type}")
        assert policy.evaluate is not None  # noqa: S101 - `offered` asked
        try:
            for message in policy.evaluate(plain(args, {})):
                report(message, None)
        except NotKnown as gap:
            raise UnknownValueError(UNKNOWN_STRING_VALUE, [gap.path]) from None

    return validate


def _by_stack(policy: Policy) -> Any:
    def validate(args: StackValidationArgs, report: ReportViolation) -> None:
        found = [plain(each, each.property_dependencies) for each in args.resources]
        if not any(each.type in policy.types for each in found):
            args.not_applicable("the stack has nothing that it is about")
        assert policy.evaluate_stack is not None  # noqa: S101 - `offered` asked
        try:
            for violation in policy.evaluate_stack(found):
                report(violation.message, violation.urn)
        except NotKnown as gap:
            raise UnknownValueError(UNKNOWN_STRING_VALUE, [gap.path]) from None

    return validate


def plain(analyzed: ResourceValidationArgs | PolicyResource, needs: Mapping[str, Sequence[PolicyResource]]) -> Resource:
    """Return a resource of the engine's as plain values."""
    provider = analyzed.provider
    defaults = values(provider.props).get("defaultTags") if provider is not None else None
    if isinstance(defaults, str):
        # A provider's configuration travels as JSON.
        defaults = _json(defaults)
    tags = defaults.get("tags") if isinstance(defaults, Mapping) else None
    return Resource(
        type=analyzed.resource_type,
        name=analyzed.name,
        urn=analyzed.urn,
        inputs=values(analyzed.props),
        needs={key: frozenset(each.urn for each in needed) for key, needed in needs.items()},
        protect=analyzed.opts.protect,
        default_tags=tags if isinstance(tags, Mapping) else {},
    )


def values(proxy: Mapping[str, Any]) -> dict[str, Any]:
    """Return what stands behind the library's proxies, which raise on what is not known, with UNKNOWN there."""
    return {key: _value(proxy, key) for key in proxy}


def taggable(type_token: str) -> bool:
    """Return whether a resource can have tags: the installed SDK's own class takes them."""
    if not type_token.startswith(_AWS):
        return False
    import pulumi_aws  # noqa: PLC0415 - a second's work, and only if there is AWS

    _, module, name = type_token.split(":")
    package = getattr(pulumi_aws, module.split("/")[0], None)
    resource = getattr(package, name, None)
    return resource is not None and "tags" in inspect.signature(resource._internal_init).parameters  # noqa: SLF001


def _value(holder: Any, key: Any) -> Any:
    try:
        found = holder[key]
    except UnknownValueError:
        return UNKNOWN
    if isinstance(found, Mapping):
        return values(found)
    if isinstance(found, Sequence) and not isinstance(found, str):
        return [_value(found, index) for index in range(len(found))]
    return found


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None
