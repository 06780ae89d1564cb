"""The service accounts of a backend, and the roles that each has on exactly what it needs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pulumi
import pulumi_gcp as gcp

from mlflow_backend.tokens import GCP_IDENTITY

if TYPE_CHECKING:
    from collections.abc import Sequence

    from mlflow_backend.gcp.render import identity
    from mlflow_backend.gcp.scope import Scope


class Identity(pulumi.ComponentResource):
    """The accounts and their grants. Attribute: `resources`, which a container has to wait for."""

    def __init__(
        self,
        name: str,
        scope: Scope,
        *,
        granted: Sequence[identity.Grant],
        after: Sequence[pulumi.Resource] = (),
        opts: pulumi.ResourceOptions | None = None,
    ) -> None:
        """Take the grants, each of an account that is made, and what has to be there first."""
        super().__init__(GCP_IDENTITY, name, None, opts)
        naming = scope.naming
        accounts = {
            part: gcp.serviceaccount.Account(
                f"{name}-{part}",
                account_id=naming.account(part),
                display_name=f"{naming.service()}: {part}",
                opts=pulumi.ResourceOptions(parent=self),
            )
            for part in dict.fromkeys(grant.account for grant in granted)
        }
        self.resources: list[pulumi.Resource] = [*accounts.values()]
        for grant in granted:
            options = pulumi.ResourceOptions(parent=self, depends_on=[accounts[grant.account], *after])
            suffix = grant.title or grant.resource.rpartition("/")[2]
            self.resources.append(self._member(f"{name}-{grant.account}-{suffix}", grant, naming, options))
        self.register_outputs({})

    @staticmethod
    def _member(name: str, grant: identity.Grant, naming: Any, options: pulumi.ResourceOptions) -> pulumi.Resource:
        member = naming.member(grant.account)
        if grant.kind == "secret":
            return gcp.secretmanager.SecretIamMember(
                name, secret_id=grant.resource, role=grant.role, member=member, opts=options
            )
        return gcp.storage.BucketIAMMember(
            name,
            bucket=grant.resource,
            role=grant.role,
            member=member,
            condition={"title": grant.title, "expression": grant.condition},
            opts=options,
        )
