"""The settings, names and connection that every block on Google Cloud is made from."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlflow_backend.contract import Refused
from mlflow_backend.gcp.render.database import protected
from mlflow_backend.given_providers import has_provider

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pulumi

    from mlflow_backend.gcp.naming import Naming
    from mlflow_backend.settings import Settings

_WORD = re.compile(r"(?<=[a-z])(?=[A-Z])")
_PACKAGE = "gcp"


@dataclass(frozen=True, kw_only=True)
class Scope:
    """The backend that a block belongs to."""

    settings: Settings
    naming: Naming

    @property
    def protect(self) -> bool:
        """Whether what holds data may not be deleted."""
        return protected(self.settings)


def refuse_provider(name: str, opts: pulumi.ResourceOptions | None) -> None:
    """Raise Refused for a provider of Google Cloud in `opts`, or inherited from the parent there."""
    if has_provider(opts, _PACKAGE):
        raise Refused(
            f"{name} was given a provider of Google Cloud, whose credentials its dynamic resources cannot have.",
            code="gcp-provider-given",
            fix="Leave it out, and name gcp.project and gcp.region in its settings, which make the provider too.",
        )


def arguments(body: Mapping[str, Any]) -> dict[str, Any]:
    """Return a resource's inputs, as the provider calls them, by the names of its class's arguments."""
    return {_WORD.sub("_", key).lower(): value for key, value in body.items()}
