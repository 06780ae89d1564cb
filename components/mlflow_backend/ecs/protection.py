"""The resource by which Pulumi refuses to destroy a protected backend, whole and at once."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pulumi

from mlflow_backend.tokens import ECS_PROTECTION

if TYPE_CHECKING:
    from mlflow_backend.ecs.backend import EcsBackend


class Protection(pulumi.ComponentResource):
    """The first thing that `pulumi destroy` comes to.

    Pulumi refuses to delete what is protected when its turn comes, and by then it has deleted all that came before: a
    `destroy` without a preview stopped at the database, and service, network, balancer and roles were gone. This one
    stands on everything that the backend has, so that its turn comes first, and alone.
    """

    def __init__(self, name: str, *, backend: EcsBackend, protect: bool, parent: pulumi.Resource | None = None) -> None:
        """Take what is guarded. Unprotected it is there too, or lifting the protection would be a refused deletion."""
        opts = pulumi.ResourceOptions(parent=parent, depends_on=[backend], protect=protect)
        # Pulumi's refusal says the name: it is the setting that a reader has to know of.
        super().__init__(ECS_PROTECTION, f"{name}-backup.protect", None, opts)
        self.register_outputs({})
