"""Rules on IAM documents. Pure: they take the document alone, wherever it comes from."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

# These actions know no resource (AWS service authorization reference), so `*` is all that can be said.
RESOURCELESS: Final = frozenset({"ecr:GetAuthorizationToken"})

# AWS's own names for families of one operation each, as its key policies are written (AWS KMS developer guide).
FAMILIES: Final = frozenset({"kms:GenerateDataKey*", "kms:ReEncrypt*"})

ADMINISTRATORS: Final = re.compile(r":policy/(.*/)?(AdministratorAccess|PowerUserAccess|[A-Za-z0-9]*FullAccess)$")
"""AWS's managed policies that allow everything, or everything of a service."""

# Global condition keys that say who asks, or from where (IAM user guide, 'AWS global condition context keys').
_WHO: Final = frozenset({
    *("aws:principalaccount", "aws:principalarn", "aws:principalorgid", "aws:principalorgpaths"),
    *("aws:sourceaccount", "aws:sourcearn", "aws:sourceip", "aws:sourceorgid", "aws:sourceowner"),
    *("aws:sourcevpc", "aws:sourcevpce"),
})  # fmt: skip
_WHOEVER: Final = frozenset({"*", "0.0.0.0/0", "::/0"})

_ROOT: Final = re.compile(r"(arn:aws[a-z-]*:iam::\d{12}:root|\d{12})")


def wildcards(document: Any, *, key: bool = False) -> Iterator[str]:
    """Say which statements allow any action or any resource.

    `key` is for a KMS key's own policy: its `*` is the key itself, and its account may do everything with it, without
    which nobody could (AWS KMS developer guide, 'Default key policy').
    """
    for number, statement in enumerate(_allowing(document)):
        where = f"statement {statement.get('Sid', number)}"
        for action in _listed(statement.get("Action")):
            if "*" in action and action not in FAMILIES and not (key and _account_owns(statement)):
                yield f"{where} allows the actions {action}"
        if "NotAction" in statement:
            yield f"{where} allows every action but some"
        if "NotResource" in statement:
            yield f"{where} allows every resource but some"
        if not key and any(_any(resource) for resource in _listed(statement.get("Resource"))):
            beyond = [action for action in _listed(statement.get("Action")) if action not in RESOURCELESS]
            if beyond:
                yield f"{where} allows {', '.join(beyond)} on any resource"


def public(document: Any) -> Iterator[str]:
    """Say which statements let anybody in, without a condition that names who."""
    for number, statement in enumerate(_allowing(document)):
        anybody = _everybody(statement.get("Principal")) or "NotPrincipal" in statement
        if anybody and not _names_who(statement.get("Condition")):
            yield f"statement {statement.get('Sid', number)} lets anybody in"


def refuses_plain_http(document: Any) -> bool:
    """Return whether a bucket's policy denies whatever does not come over TLS, to everybody and for everything."""
    return any(
        statement.get("Effect") == "Deny"
        and _everybody(statement.get("Principal"))
        and "s3:*" in _listed(statement.get("Action"))
        and _not_over_tls(statement.get("Condition"))
        for statement in _statements(document)
    )


def _statements(document: Any) -> list[Mapping[str, Any]]:
    found = document.get("Statement") if isinstance(document, Mapping) else None
    return [each for each in (found if isinstance(found, list | tuple) else [found]) if isinstance(each, Mapping)]


def _allowing(document: Any) -> list[Mapping[str, Any]]:
    return [each for each in _statements(document) if each.get("Effect") == "Allow"]


def _listed(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [str(each) for each in value] if isinstance(value, list | tuple) else []


def _everybody(principal: Any) -> bool:
    named = principal.values() if isinstance(principal, Mapping) else [principal]
    return any("*" in _listed(each) for each in named)


def _any(resource: str) -> bool:
    """Return whether an ARN says nothing but of which kind the resource is: `*`, `arn:aws:s3:::*`, `...:role/*`."""
    parts = resource.split(":", 5)
    # Only S3's begin with a name (IAM user guide, 'Amazon Resource Names'): `bucket/*` is all of one bucket.
    named = parts[-1] if parts[2:3] == ["s3"] else re.split("[/:]", parts[-1], maxsplit=1)[-1]
    return not named.strip("*/?:")


def _names_who(condition: Any) -> bool:
    """Return whether a condition admits only some callers; `StringNotEquals`, which excludes some, admits the rest."""
    blocks = condition.items() if isinstance(condition, Mapping) else ()
    return any(
        str(key).lower() in _WHO and not _WHOEVER & set(_listed(values))
        for operator, wanted in blocks
        if "Not" not in str(operator) and isinstance(wanted, Mapping)
        for key, values in wanted.items()
    )


def _account_owns(statement: Mapping[str, Any]) -> bool:
    principal = statement.get("Principal")
    if not isinstance(principal, Mapping) or set(principal) != {"AWS"}:
        return False
    return all(_ROOT.fullmatch(each) for each in _listed(principal["AWS"]))


def _not_over_tls(condition: Any) -> bool:
    found = condition.get("Bool") if isinstance(condition, Mapping) else None
    if not isinstance(found, Mapping):
        return False
    return [text.lower() for text in _listed(str(found.get("aws:SecureTransport", "")))] == ["false"]
