"""The protocol of a target whose workflows take roles of AWS's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from mlflow_backend.aws.naming import Naming
    from mlflow_backend.aws.permissions.deployer import PulumiState
    from mlflow_backend.aws.permissions.grant import Grant, Purpose
    from mlflow_backend.settings import Settings


@runtime_checkable
class RolesOnAws(Protocol):
    """A target (target.Target) on AWS."""

    def grants(
        self, settings: Settings, *, project: str, stack: str, purpose: Purpose, state: PulumiState | None
    ) -> tuple[Naming, tuple[Grant, ...]]:
        """Return the names of a stack's parts, and what the role of a purpose may do with them.

        `state` is where Pulumi keeps the stack. Raises Refused for settings that cannot be fulfilled.
        """
