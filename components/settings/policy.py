"""Which policies a stack is held to, and how strictly. What each asks for is in `policy/` (docs/policies.md)."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from components.settings.section import Section

PolicyName = Literal[
    "backups-kept",
    "bucket-private",
    "cache-private",
    "database-private",
    "deletion-protected",
    "encrypted-at-rest",
    "encrypted-in-transit",
    "iam-without-wildcards",
    "image-architecture",
    "images-by-digest",
    "ingress-closed",
    "listener-tls",
    "logs-expire",
    "no-plain-secrets",
    "stateful-protected",
    "tagged",
]
PolicyLevel = Literal["mandatory", "advisory", "disabled"]


class Policy(Section):
    """The policies that previews of this stack are held to."""

    levels: dict[PolicyName, PolicyLevel] = Field(default_factory=dict)
    """Policy -> mandatory (refuses), advisory (tells) or disabled; one that is left out is mandatory."""
