"""The policies of a stack, and how strict each is. What each asks for: docs/policies.md."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from mlflow_backend.settings.section import Section
from mlflow_backend.vulnerabilities.table import identifiers

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


def _known(name: str) -> str:
    if name not in identifiers():
        raise ValueError("must be an identifier of docs/vulnerabilities.md that acts in the server")
    return name


def _choices(schema: dict[str, Any]) -> None:
    schema["enum"] = list(identifiers())


VulnerabilityName = Annotated[str, AfterValidator(_known), Field(json_schema_extra=_choices)]


class Policy(Section):
    """The policies that previews of this stack must pass."""

    levels: dict[PolicyName, PolicyLevel] = Field(default_factory=dict)
    """Policy -> mandatory (refuses), advisory (warns) or disabled; one that is left out is mandatory."""
    accept_vulnerabilities: list[VulnerabilityName] = Field(default_factory=list)
    """Known vulnerabilities of the MLflow version that this stack serves all the same, by their identifiers."""
